#include "model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "allocations.h"
#include "error.h"
#include "json.h"
#include "loaded_model.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// The goldens are float64. Plain weights: what float32 sums lose over six layers, 3.6e-6 at worst.
// bfloat16, FP8 and int4 round activations, where a sum that differs in its last bit rounds to the
// neighbour, and then a token near a tie takes another expert, which later positions still
// see: 3.1e-2 at worst (bfloat16, AVX), 1.1e-2 on the reference. An operation that is wrong shows
// as 1.
double tolerance(const std::string& formats) {
  return formats == "mixed" || formats == "bf16" ? 6e-2 : 1e-4;
}

struct Golden {
  std::string name, formats, config;
  std::vector<Token> tokens;
  Syntax syntax;
  std::vector<size_t> positions;
  size_t every = 1;
  std::vector<std::vector<double>> logits;
};

std::vector<Golden> goldens() {
  const auto integers = [](const Json& json) {
    std::vector<int> values;
    for (const Json& value : json.array()) values.push_back(int(value.integer()));
    return values;
  };
  std::vector<Golden> all;
  const Json json = Json::parse(read_text(fixtures() / "goldens.json"));
  for (const Json& entry : json.array()) {
    Golden& golden = all.emplace_back();
    golden.name = entry.at("name").string();
    golden.formats = entry.at("formats").string();
    golden.config = entry.at("config").string();
    golden.tokens = integers(entry.at("tokens"));
    golden.syntax = {int(entry.at("features_from").integer()), integers(entry.at("features"))};
    for (const int p : integers(entry.at("positions"))) golden.positions.push_back(size_t(p));
    golden.every = size_t(entry.at("every").integer());
    for (const Json& row : entry.at("logits").array()) {
      std::vector<double>& logits = golden.logits.emplace_back();
      for (const Json& logit : row.array()) logits.push_back(logit.number());
    }
  }
  return all;
}

// What must be computed of tokens start .. end-1 for the logits at `positions`.
Outputs outputs_for(const std::vector<size_t>& positions, size_t start, size_t end) {
  const auto within = [&](size_t p) { return p >= start && p + 1 < end; };
  if (std::any_of(positions.begin(), positions.end(), within)) return Outputs::all;
  const bool last = std::find(positions.begin(), positions.end(), end - 1) != positions.end();
  return last ? Outputs::last : Outputs::none;
}

int outputs_seen[3] = {};

// The largest difference from the golden logits, as a share of the largest logit, when the tokens
// are read in batches of `batch` with no more outputs than are asked for.
double error_of(const Golden& golden, Backend& backend, size_t batch) {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), golden.config, golden.formats);
  LoadedModel loaded(folder.path(), backend, with_f32_cache());
  Model& model = loaded.model;
  Sequence sequence = loaded.sequence();
  sequence.set_syntax(golden.syntax);

  double difference = 0, largest = 0;
  std::span<const Token> rest = golden.tokens;
  while (!rest.empty()) {
    const size_t start = sequence.size();
    const auto tokens = rest.first(std::min({rest.size(), batch, model.max_batch()}));
    const Outputs outputs = outputs_for(golden.positions, start, start + tokens.size());
    outputs_seen[int(outputs)] += tokens.size() > 1;
    model.read(sequence, tokens, outputs);
    rest = rest.subspan(tokens.size());
    for (size_t i = 0; i < golden.positions.size(); i++) {
      const size_t p = golden.positions[i];
      if (p < start || p >= start + tokens.size()) continue;
      const auto logits = model.logits(p - start);
      for (size_t j = 0; j < golden.logits[i].size(); j++) {
        const double expected = golden.logits[i][j];
        difference = std::max(difference, std::abs(double(logits[j * golden.every]) - expected));
        largest = std::max(largest, std::abs(expected));
      }
    }
  }
  return difference / largest;
}

void check_load(const std::string& config, const std::string& formats,
                const std::string& loaded_config, ErrorCode code, const std::string& expected) {
  CAPTURE(expected);
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), config, formats);
  write_file(folder.path() / "config.json", loaded_config);
  const auto backend = make_reference_backend();
  try {
    LoadedModel(folder.path(), *backend);
    FAIL("the model was accepted");
  } catch (const EngineError& error) {
    CHECK(std::string(name_of(error.code())) == name_of(code));
    CHECK(std::string(error.what()).find(expected) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("logits are those of the Python implementation, for every variant, backend and batch") {
  const auto all = goldens();
  REQUIRE(all.size() >= 8);
  for (const std::string& name : available_backends()) {
    const auto backend = make_backend(name, 1);
    REQUIRE(backend);
    for (const Golden& golden : all) {
      for (const size_t batch : {size_t(1), size_t(7), size_t(256)}) {
        CAPTURE(name);
        CAPTURE(golden.name);
        CAPTURE(batch);
        const double error = error_of(golden, *backend, batch);
        MESSAGE(name << ", " << golden.name << ", batch " << batch << ": " << error);
        CHECK(error <= tolerance(golden.formats));
      }
    }
  }
  for (const int seen : outputs_seen) CHECK(seen > 0);
}

// One of them alone: where the processor is emulated, all take minutes.
TEST_CASE("in weights of mixed formats, logits are those of the Python implementation") {
  const auto backend = make_backend(available_backends().front(), 1);
  int seen = 0;
  for (const Golden& golden : goldens()) {
    if (golden.name != "mixed") continue;
    CHECK(error_of(golden, *backend, 7) <= tolerance(golden.formats));
    seen++;
  }
  CHECK(seen == 1);
}

TEST_CASE("forward() allocates nothing") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(), "mixed");
  for (const std::string& name : available_backends()) {
    if (name == "reference") continue;  // the specification may; it is never shipped as the choice
    CAPTURE(name);
    const auto backend = make_backend(name, 0);
    LoadedModel loaded(folder.path(), *backend);
    Model& model = loaded.model;
    Sequence sequence = loaded.sequence();
    std::vector<Token> tokens(model.max_batch(), 7);
    sequence.set_syntax({100, {1, 2}});
    model.forward(sequence, tokens);
    const size_t before = allocations();
    while (sequence.size() + tokens.size() < 600) model.forward(sequence, tokens);
    for (int i = 0; i < 20; i++) model.forward(sequence, {tokens.data(), 1});
    CHECK(allocations() == before);
  }
}

TEST_CASE("parameters are counted by what runs") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(), "mixed");
  const auto backend = make_reference_backend();
  const LoadedModel loaded(folder.path(), *backend);
  const Model& model = loaded.model;
  // Two layers of eight experts of three 32 x 64 matrices, and one shared expert each.
  CHECK(model.counts().routed == 2 * 8 * 3 * 32 * 64);
  CHECK(model.counts().shared == 2 * 3 * 32 * 64);
  const int64_t attention = 2 * (192 * 64 + 64 * 64 + 64 * 64 + 64) + (128 * 64 + 64 * 64);
  const int64_t norms = 64 + 3 * (2 * 64 + 2 * 16), dense = 3 * 96 * 64, embedding = 320 * 64;
  const int64_t routers = 2 * (8 * 64 + 8 + 8 * 5);
  CHECK(model.counts().total == model.counts().routed + model.counts().shared + attention + norms +
                                    dense + embedding + routers);
}

TEST_CASE("the expert budget is kept, and its two ways to one expert are one") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(R"("num_experts": 64, "num_experts_per_tok": 6)"),
                   "f32");
  const auto backend = make_reference_backend();
  const auto load = [&](float coverage, float share) {
    return std::make_unique<LoadedModel>(
        folder.path(), *backend, ModelOptions{.expert_coverage = coverage, .active_share = share});
  };
  const auto logits_of = [](LoadedModel& loaded) {
    Sequence sequence = loaded.sequence();
    const std::vector<Token> tokens = {100, 101, 102, 103, 104, 105, 106, 107};
    loaded.model.read(sequence, tokens);
    const auto logits = loaded.model.logits(tokens.size() - 1);
    return std::vector<float>(logits.begin(), logits.end());
  };
  const auto whole = load(1, 1);
  const Counts& counts = whole->model.counts();
  const auto share_for = [&](double experts) {
    const double each = double(counts.routed) / whole->model.config().num_experts;
    return float((double(counts.total - counts.routed) + experts * each) / double(counts.total));
  };
  CHECK(whole->model.max_experts() == 6);
  for (const int experts : {5, 3, 1}) {
    CHECK(load(1, share_for(experts + 0.5))->model.max_experts() == experts);
  }
  CHECK(load(1, 1e-6f)->model.max_experts() == 1);  // less than what every token runs: the least

  const auto one = logits_of(*load(1, share_for(1.5)));
  CHECK(one != logits_of(*whole));
  CHECK(logits_of(*load(1e-6f, 1)) == one);  // the first expert alone is enough
  CHECK(logits_of(*load(0.5f, 1)) != one);
  CHECK(logits_of(*load(0.5f, 1)) != logits_of(*whole));

  for (const float bad : {0.0f, -0.5f, 1.01f, std::nanf("")}) {
    CHECK_THROWS_WITH_AS(load(bad, 1), doctest::Contains("at most 1"), EngineError);
    CHECK_THROWS_WITH_AS(load(1, bad), doctest::Contains("at most 1"), EngineError);
  }
}

TEST_CASE("the context is what was asked for, at most what the model was made for") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(), "f32");
  const auto backend = make_reference_backend();
  const auto context_of = [&](int asked) {
    ModelOptions options;
    options.context_tokens = asked;
    return LoadedModel(folder.path(), *backend, options).model.context_tokens();
  };
  CHECK(context_of(0) == 1024);
  CHECK(context_of(300) == 300);
  CHECK(context_of(5000) == 1024);
}

TEST_CASE("a folder whose tensors do not fit its config is refused") {
  const std::string config = tiny_config();
  check_load(
      config, "f32", tiny_config(R"("vocab_size": 321)"), ErrorCode::model_corrupt,
      "model.word_embeddings.weight has shape [320, 64], and the configuration asks for [321, 64]");
  check_load(config, "f32", tiny_config(R"("num_hidden_layers": 6)"), ErrorCode::model_corrupt,
             "is missing");
  check_load(config, "mixed", tiny_config(R"("moe_intermediate_size": 64)"),
             ErrorCode::model_corrupt, "the configuration asks for");
  check_load(config, "f32", tiny_config(R"("architectures": ["MambaForCausalLM"])"),
             ErrorCode::model_unsupported, "MambaForCausalLM");
  check_load(config, "f32", "[]", ErrorCode::model_corrupt, "object was expected");
}

TEST_CASE("a missing or damaged file is said") {
  const auto backend = make_reference_backend();
  const auto code_of = [&](const std::filesystem::path& folder) -> std::string {
    try {
      LoadedModel(folder, *backend);
      return "none";
    } catch (const EngineError& error) {
      return name_of(error.code());
    }
  };
  const TemporaryFolder folder;
  CHECK(code_of(folder.path() / "nowhere") == "MODEL_NOT_FOUND");
  CHECK(code_of(folder.path()) == "MODEL_NOT_FOUND");
  write_tiny_model(folder.path(), tiny_config(), "mixed");
  CHECK(code_of(folder.path()) == "none");
  const auto weights = folder.path() / "model.safetensors";
  std::filesystem::resize_file(weights, std::filesystem::file_size(weights) - 1);
  CHECK(code_of(folder.path()) == "MODEL_CORRUPT");
  std::filesystem::resize_file(weights, 0);
  CHECK(code_of(folder.path()) == "MODEL_CORRUPT");
}
