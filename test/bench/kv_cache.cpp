// What a cache of keys and values in float16 gains, and what it changes:
//   kv_cache speed MODEL TEXT [TOKENIZER]: behind 512, 1024, 1900 and 4,000 tokens of TEXT, 64 are
//     read at once several times, and some one by one with their logits, as decoding does: with f32
//     and with f16, in turns. Prints times and the quartiles of the ratios.
//   kv_cache cpu-time MODEL TEXT [TOKENIZER]: the same with one thread, by what it spent on a
//     processor: for a machine shared with others.
//   kv_cache accuracy MODEL TEXT...: the distribution behind every token with either. Prints the
//     mean and the largest KL divergence, how much the log probability of the texts' tokens
//     changes, and how often the best token is the same.
//
// Any weights will do for speed. TOKENIZER: a model whose tokenizer is used, where MODEL's own
// knows no code.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host_backend.h"
#include "loaded_model.h"
#include "mapping.h"
#include "prompting.h"
#include "timing.h"
#include "tokenizer.h"

using namespace ringside;

namespace {

constexpr int kContext = 4096;
constexpr size_t kBehind[] = {512, 1024, 1900, 4000};  // tokens, where both are timed
constexpr size_t kRead = 64, kReads = 12, kDecoded = 24;

std::vector<Token> tokens_of(const char* text, const char* tokenizer_path) {
  const ModelFiles files(tokenizer_path);
  Tokenizer tokenizer(tokenizer_spec(files));
  std::vector<Token> tokens;
  tokenizer.encode(read_text(text), tokens);
  return tokens;
}

// A model with either cache, on one backend.
struct Pair {
  std::unique_ptr<Backend> backend = make_backend("auto", cpu_time ? 1 : 0);
  LoadedModel f32, f16;
  Sequence of_f32 = f32.sequence(), of_f16 = f16.sequence();

  explicit Pair(const char* path)
      : f32(path, *backend, {.context_tokens = kContext, .kv_cache = Type::f32}),
        f16(path, *backend, {.context_tokens = kContext, .kv_cache = Type::f16}) {
    const auto mb = [](LoadedModel& loaded) {
      return double(loaded.model.memory().sequence) / 1e6;
    };
    std::printf("%s, %s, %d threads; %d tokens take %.1f MB in f32, %.1f MB in f16\n", path,
                std::string(backend->name()).c_str(), backend->threads(),
                f32.model.context_tokens(), mb(f32), mb(f16));
  }

  // Of f32 and of f16, the one that is first changing from call to call.
  std::array<double, 2> in_turns(const std::function<void(Model&, Sequence&)>& work) {
    std::array<double, 2> time;
    const bool first = turn_++ % 2 == 0;
    for (const bool half : {!first, first})
      time[half] = seconds([&] { half ? work(f16.model, of_f16) : work(f32.model, of_f32); });
    return time;
  }

 private:
  int turn_ = 0;
};

void print(const char* what, size_t behind, const std::vector<std::array<double, 2>>& times) {
  std::vector<double> f32, f16, ratios;
  for (const auto& [single, half] : times) {
    f32.push_back(single);
    f16.push_back(half);
    ratios.push_back(half / single);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("%s behind %4zu: f32 %8.2f ms, f16 %8.2f ms, f16 / f32 %.3f (%.3f to %.3f)\n", what,
              behind, median(f32) * 1e3, median(f16) * 1e3, ratios[ratios.size() / 2],
              ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4]);
  std::fflush(stdout);
}

void speed(const char* path, const char* text, const char* tokenizer) {
  const std::vector<Token> tokens = tokens_of(text, tokenizer);
  Pair pair(path);
  for (const size_t behind : kBehind) {
    if (behind + kRead > std::min(tokens.size(), pair.of_f32.capacity())) break;
    std::vector<std::array<double, 2>> reading, decoding;
    const auto read_to = [&](size_t end, Model& model, Sequence& sequence) {
      while (sequence.size() < end) {
        const size_t n = std::min(model.max_batch(), end - sequence.size());
        model.read(sequence, std::span(tokens).subspan(sequence.size(), n), Outputs::last);
      }
    };
    pair.in_turns([&](Model& model, Sequence& sequence) { read_to(behind, model, sequence); });
    for (size_t i = 0; i < kReads; i++) {
      reading.push_back(pair.in_turns(
          [&](Model& model, Sequence& sequence) { read_to(behind + kRead, model, sequence); }));
      pair.in_turns([&](Model&, Sequence& sequence) { sequence.truncate(behind); });
    }
    for (size_t i = 0; i < kDecoded; i++)
      decoding.push_back(pair.in_turns([&](Model& model, Sequence& sequence) {
        model.forward(sequence, std::span(tokens).subspan(behind + i, 1));
      }));
    print("read 64        ", behind, reading);
    print("decode a token ", behind, decoding);
  }
}

std::vector<double> log_softmax(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  std::vector<double> all;
  for (const float logit : logits) all.push_back(logit - top - std::log(sum));
  return all;
}

// The log probabilities of every token behind each of a batch that was read.
std::vector<std::vector<double>> distributions(Model& model, Sequence& sequence,
                                               std::span<const Token> batch) {
  model.read(sequence, batch);
  std::vector<std::vector<double>> all;
  for (size_t i = 0; i < batch.size(); i++) all.push_back(log_softmax(model.logits(i)));
  return all;
}

void accuracy(const char* path, std::span<char*> texts) {
  Pair pair(path);
  const size_t most = std::min(pair.f32.model.max_batch(), size_t(256));
  size_t count = 0, scored = 0, same = 0;
  double kl = 0, largest_kl = 0, change = 0, largest_change = 0, log_f32 = 0, log_f16 = 0;
  for (const char* text : texts) {
    std::vector<Token> tokens = tokens_of(text, path);
    tokens.resize(std::min(tokens.size(), size_t(pair.f32.model.context_tokens())));
    for (Sequence* sequence : {&pair.of_f32, &pair.of_f16}) sequence->truncate(0);
    for (size_t at = 0; at < tokens.size(); at += most) {
      const auto batch = std::span(tokens).subspan(at, std::min(most, tokens.size() - at));
      const auto p = distributions(pair.f32.model, pair.of_f32, batch);
      const auto q = distributions(pair.f16.model, pair.of_f16, batch);
      for (size_t i = 0; i < batch.size(); i++) {
        double divergence = 0;
        for (size_t t = 0; t < p[i].size(); t++)
          divergence += std::exp(p[i][t]) * (p[i][t] - q[i][t]);
        kl += divergence;
        largest_kl = std::max(largest_kl, divergence);
        const auto best = [](const std::vector<double>& x) {
          return std::max_element(x.begin(), x.end()) - x.begin();
        };
        same += best(p[i]) == best(q[i]);
        count++;
        if (at + i + 1 == tokens.size()) break;
        const size_t next = size_t(tokens[at + i + 1]);
        change += std::abs(p[i][next] - q[i][next]);
        largest_change = std::max(largest_change, std::abs(p[i][next] - q[i][next]));
        log_f32 += p[i][next];
        log_f16 += q[i][next];
        scored++;
      }
    }
  }
  const double n = double(count), m = double(scored);
  std::printf(
      "%zu tokens of %zu texts: KL %.2e (largest %.2e), best token the same %.3f %%\n"
      "log probability of the text's token: f32 %.6f, f16 %.6f on average, change %.2e (largest "
      "%.2e)\n",
      count, texts.size(), kl / n, largest_kl, 100 * double(same) / n, log_f32 / m, log_f16 / m,
      change / m, largest_change);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 3 ? argv[1] : "";
  try {
    cpu_time = mode == "cpu-time";
    if (mode == "speed" || cpu_time) {
      speed(argv[2], argv[3], argc > 4 ? argv[4] : argv[2]);
      return 0;
    }
    if (mode == "accuracy") {
      accuracy(argv[2], std::span(argv + 3, size_t(argc - 3)));
      return 0;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: kv_cache speed|cpu-time|accuracy MODEL TEXT ...\n");
  return 2;
}
