// Whole models: decoding, reading, and a keystroke.
#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <stdexcept>

#include "cuda_backend.h"
#include "decoder.h"
#include "model.h"
#include "models.h"
#include "options.h"

namespace ringside::bench {

namespace {

// ---- what a token costs ----

double matrix_bytes(const Matrix& m) {
  if (m.data == nullptr) return 0;
  const double rows = m.rows, cols = m.cols;
  double bytes = rows * double(row_bytes(m.type, m.cols));
  if (m.type == Type::int4) bytes += rows * (cols / m.group) * 2;
  if (m.type == Type::f8)
    bytes += 4 * (m.block > 0 ? std::ceil(rows / m.block) * std::ceil(cols / m.block) : rows);
  return bytes;
}

double matrix_values(const Matrix& m) {
  return m.data == nullptr ? 0.0 : double(m.rows) * double(m.cols);
}

struct Cost {
  double weight_bytes = 0;  // of weights that a token reads, each once
  double layer_values = 0;  // values of the layers' matrices that it meets
  double head_values = 0;
  double state_bytes = 0;   // of lightning states, read and written
  double row_bytes = 0;     // of the keys and values of one position, in all layers
  double query_values = 0;  // multiplied with each position's keys and values: heads * head_dim
};

Cost cost_of(const Model& model) {
  const Config& c = model.config();
  const Weights& weights = model.weights();
  Cost cost;
  const auto add = [&](const Matrix& m, double times = 1) {
    cost.weight_bytes += times * matrix_bytes(m);
    cost.layer_values += times * matrix_values(m);
  };
  for (size_t l = 0; l < weights.layers.size(); l++) {
    const Layer& layer = weights.layers[l];
    for (const Matrix& part : layer.qkv) add(part);
    for (const Matrix* m :
         {&layer.dense, &layer.gate, &layer.ffn.gate, &layer.ffn.up, &layer.ffn.down})
      add(*m);
    if (layer.router.n_experts > 0) {
      const double router = double(layer.router.n_experts) * layer.router.dim;
      cost.weight_bytes += 4 * router;
      cost.layer_values += router;
      const FeedForward& one = layer.experts.front();
      for (const Matrix* m : {&one.gate, &one.up, &one.down}) add(*m, model.max_experts());
    }
    const double row = 2.0 * c.kv_heads(int(l)) * double(row_bytes(c.kv_cache, c.head_dim));
    if (layer.lightning) {
      cost.state_bytes += 2.0 * c.num_attention_heads * c.head_dim * c.head_dim * sizeof(float);
    } else {
      cost.row_bytes += row;
      cost.query_values += double(c.attention_dim());
    }
  }
  cost.head_values = matrix_values(weights.head);
  cost.weight_bytes += matrix_bytes(weights.head);
  return cost;
}

// ---- running ----

struct Loaded {
  ModelFolder folder;
  double written, loaded;  // seconds
  std::unique_ptr<Backend> host;
  std::unique_ptr<cuda::Cuda> device;
  std::unique_ptr<ModelFiles> files;
  std::unique_ptr<Model> model;
  std::unique_ptr<Sequence> sequence;

  Loaded(const Options& options, const Shape& shape, int context)
      : Loaded(options, shape, context, now()) {}

 private:
  Loaded(const Options& options, const Shape& shape, int context, double start)
      : folder(options.folder, shape), written(now() - start) {
    start = now();
    host = make_backend("auto", 1);
    device = std::make_unique<cuda::Cuda>(0);
    files = std::make_unique<ModelFiles>(folder.path());
    ModelOptions model_options;
    model_options.context_tokens = context;
    model =
        std::make_unique<Model>(*files, Backends(*host, device.get()), model_options, [](float) {});
    sequence =
        std::make_unique<Sequence>(model->config(), model->placement(), model->context_tokens(),
                                   model->memory().checkpoint_every);
    device->device().synchronize();
    loaded = now() - start;
    if (!model->steps_alone()) {
      throw std::runtime_error("not all of the model is on the GPU: " +
                               model->placement().explanation);
    }
  }
};

std::vector<Token> random_tokens(int count, int vocabulary, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Token> tokens(static_cast<size_t>(count));
  for (Token& token : tokens) token = Token(random() % uint32_t(vocabulary));
  return tokens;
}

// Reads the rest of `tokens`. Returns the index of the last one in its batch.
size_t read(Loaded& loaded, std::span<const Token> tokens) {
  Sequence& sequence = *loaded.sequence;
  size_t n = 0;
  while (sequence.size() < tokens.size()) {
    const auto rest = tokens.subspan(sequence.size());
    n = std::min(loaded.model->max_batch(), rest.size());
    loaded.model->read(sequence, rest.first(n));
  }
  return n - 1;
}

Choice checked(const Choice& choice) {
  if (!choice.finite) throw std::runtime_error("the model's logits are no numbers");
  return choice;
}

// From the request until the first token is known.
double seconds_to_read(Loaded& loaded, const std::vector<Token>& tokens) {
  loaded.sequence->truncate(0);
  const double start = now();
  const size_t last = read(loaded, tokens);
  Decoder decoder(*loaded.model, *loaded.sequence, {}, loaded.model->config().vocab_size, last);
  checked(decoder.next(false));
  return now() - start;
}

struct Decoding {
  Timing token;          // seconds
  double positions = 0;  // that a token looked back at, on average
};

// Rounds of tokens behind a prompt, each recorded step replayed.
Decoding decode(Loaded& loaded, const std::vector<Token>& prompt, const Sampling& sampling,
                int rounds, int each) {
  loaded.sequence->truncate(0);
  const size_t last = read(loaded, prompt);
  Decoder decoder(*loaded.model, *loaded.sequence, sampling, loaded.model->config().vocab_size,
                  last);
  for (int i = 0; i < 16; i++) checked(decoder.next(true));
  std::vector<double> times;
  const size_t first = loaded.sequence->size();
  for (int round = 0; round < rounds; round++) {
    const double start = now();
    for (int i = 0; i < each; i++) checked(decoder.next(true));
    times.push_back((now() - start) / each);
  }
  return {timing_of(std::move(times)), double(first + loaded.sequence->size()) / 2};
}

void bench_model(Bench& bench, const Shape& shape) {
  const bool tiny = bench.options.tiny;
  const int prompt = tiny ? 20 : 512, long_prompt = tiny ? 40 : 2048;
  const int rounds = tiny ? 2 : 7, each = tiny ? 3 : 64;
  Loaded loaded(bench.options, shape, tiny ? 128 : 4096);
  const int vocabulary = loaded.model->config().vocab_size;
  const Cost cost = cost_of(*loaded.model);

  const auto tokens = random_tokens(long_prompt, vocabulary, 1);
  seconds_to_read(loaded, tokens);
  std::vector<double> reads;
  for (int i = 0; i < (tiny ? 1 : 5); i++) reads.push_back(seconds_to_read(loaded, tokens));
  const Timing reading = timing_of(std::move(reads));
  const auto prompted = random_tokens(prompt, vocabulary, 2);
  const auto decoding = decode(loaded, prompted, {}, rounds, each);
  // As alternatives are written: the editor asks for them with these.
  const Sampling drawing{.temperature = 0.8f, .top_p = 0.95f, .seed = 1};
  const auto drawn = decode(loaded, prompted, drawing, tiny ? 2 : 3, each);

  const double bytes = cost.weight_bytes + cost.state_bytes + cost.row_bytes * decoding.positions;
  const double rate = bytes / decoding.token.median;
  // Products with matrices; and of causal attention: a query meets half of the positions, with 2
  // operations for each value of keys and of values.
  const double n = long_prompt;
  const double operations =
      2 * cost.layer_values * n + 2 * cost.head_values + 4 * cost.query_values * n * n / 2;
  const double flops = operations / reading.median;
  bench.report.row({text("model", shape.title),
                    number("fileGigabytes", double(loaded.folder.bytes()) / 1e9),
                    hidden(number("writeSeconds", loaded.written)),
                    number("loadSeconds", loaded.loaded),
                    number("decodeTokensPerSecond", 1 / decoding.token.median),
                    hidden(number("bestDecodeTokensPerSecond", 1 / decoding.token.least)),
                    number("decodeMilliseconds", 1e3 * decoding.token.median),
                    number("drawnMilliseconds", 1e3 * drawn.token.median),
                    hidden(number("weightBytesPerToken", cost.weight_bytes)),
                    hidden(number("keyValueBytesPerToken", cost.row_bytes * decoding.positions)),
                    hidden(number("stateBytesPerToken", cost.state_bytes)),
                    hidden(number("meanPosition", decoding.positions)),
                    number("megabytesPerToken", bytes / 1e6),
                    number("decodeGigabytesPerSecond", rate / 1e9),
                    percent("ofCopyBandwidth", bench.of_copy(rate)),
                    number("readTokensPerSecond", n / reading.median),
                    hidden(number("readSeconds", reading.median)),
                    hidden(number("readOperations", operations)),
                    number("readTeraflops", flops / 1e12),
                    percent("ofBf16Rate", bench.of_bf16(flops))});
}

}  // namespace

void bench_models(Bench& bench) {
  const bool tiny = bench.options.tiny;
  bench.report.table(
      "models", "Models",
      "Random weights of these shapes, all layers on the GPU, batch 1. Decoding: recorded steps, " +
          std::string(tiny ? "6 tokens behind 20" : "7 rounds of 64 tokens behind 512") +
          ", the median round by the host's clock; drawn: at temperature "
          "0.8 with top_p 0.95. MB a token: the weights that it uses, keys and "
          "values and states, each once; activations are not counted. Reading: " +
          std::string(tiny ? "40" : "2,048") +
          " tokens, until the first token behind them is known; operations of the products and of "
          "causal attention.",
      {"shape", "file GB", "load s", "decode tokens/s", "ms a token", "ms drawn", "MB a token",
       "GB/s", "of copy", "read tokens/s", "read TFLOP/s", "of BF16"});
  const auto shapes = model_shapes(tiny);
  const auto& names = bench.options.models;
  for (const Shape& shape : shapes) {
    if (!names.empty() && std::find(names.begin(), names.end(), shape.name) == names.end()) {
      continue;
    }
    if (!bench.has_time(tiny ? 1 : 45, shape.title)) continue;
    try {
      bench_model(bench, shape);
    } catch (const std::exception& error) {
      bench.report.fail(shape.title + ": " + error.what());
    }
  }
}

void bench_keystrokes(Bench& bench) {
  const bool tiny = bench.options.tiny;
  const int kept = tiny ? 50 : 4000, keys = tiny ? 3 : 50, generated = tiny ? 4 : 24;
  if (!bench.has_time(tiny ? 1 : 25, "Keystrokes")) return;
  bench.report.table(
      "keystrokes", "A keystroke",
      "Qwen2.5-Coder-1.5B's shape, int4 by 32, " + std::to_string(kept) + " tokens kept. Each of " +
          std::to_string(keys) + " requests has its last 3 tokens replaced and one appended, and " +
          std::to_string(generated) +
          " tokens are generated: from the request until the last is known, by the host's clock.",
      {"", "p50 ms", "p95 ms", "worst ms"});
  const auto shapes = model_shapes(tiny);
  Loaded loaded(bench.options, shape_named(shapes, "1.5b-int4"), tiny ? 128 : 4352);
  const int vocabulary = loaded.model->config().vocab_size;
  auto tokens = random_tokens(kept, vocabulary, 3);
  seconds_to_read(loaded, tokens);
  std::mt19937 random(4);
  std::vector<double> first, all;
  for (int key = -2; key < keys; key++) {  // two to warm up
    for (size_t i = tokens.size() - 3; i < tokens.size(); i++) {
      tokens[i] = Token(random() % uint32_t(vocabulary));
    }
    tokens.push_back(Token(random() % uint32_t(vocabulary)));
    const double start = now();
    const size_t common = loaded.sequence->common_prefix(tokens, {});
    loaded.sequence->truncate(std::min(common, tokens.size() - 1));
    const size_t last = read(loaded, tokens);
    Decoder decoder(*loaded.model, *loaded.sequence, {}, vocabulary, last);
    double known = 0;
    for (int i = 0; i < generated; i++) {
      checked(decoder.next(i + 1 < generated));
      if (i == 0) known = now() - start;
    }
    if (key < 0) continue;
    first.push_back(known);
    all.push_back(now() - start);
  }
  for (auto& [name, times] : {std::pair("until the first token", &first), {"in all", &all}}) {
    std::sort(times->begin(), times->end());
    const auto at = [&](double share) {
      return 1e3 * (*times)[size_t(share * double(times->size() - 1) + 0.5)];
    };
    bench.report.row({text("until", name), number("p50Milliseconds", at(0.5)),
                      number("p95Milliseconds", at(0.95)), number("worstMilliseconds", at(1))});
  }
}

}  // namespace ringside::bench
