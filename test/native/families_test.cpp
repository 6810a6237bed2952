// Every family in every type of weights: Hugging Face's logits and greedy text.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "gpu.h"
#include "hashed_files.h"
#include "json.h"
#include "loaded_model.h"
#include "mapping.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// The exact backend computes what transformers does: float32 sums in another order. Worst seen:
// see the message of the first test.
constexpr double kExact = 1e-4;

// And with keys and values in float16, of which a step is 2^-11 of a value: 9.7e-4 at worst.
constexpr double kHalf = 4e-3;

// Types that round activations: a sum that differs in its last bit may round to the neighbour. See
// the message of the last test for the worst seen.
double rounding(const std::string& type) { return type == "F32" || type == "F16" ? 1e-5 : 5e-2; }

struct Case {
  std::string type, salt;
  std::vector<Token> tokens, greedy;
  std::vector<double> logits;
};

struct FamilyGoldens {
  std::string name, config;  // config "": GGUF
  Json metadata;
  int shift = 0;
  std::vector<HashedTensor> tensors;
  std::vector<Case> cases;
};

std::vector<int> integers(const Json& json) {
  std::vector<int> values;
  for (const Json& value : json.array()) values.push_back(int(value.integer()));
  return values;
}

std::vector<FamilyGoldens> read_goldens() {
  std::vector<FamilyGoldens> all;
  const Json json = Json::parse(read_text(fixtures() / "families.json"));
  for (const Json& entry : json.array()) {
    FamilyGoldens& family = all.emplace_back();
    family.name = entry.at("name").string();
    if (const Json* config = entry.find("config")) family.config = config->string();
    if (const Json* metadata = entry.find("metadata")) family.metadata = *metadata;
    if (const Json* shift = entry.find("shift")) family.shift = int(shift->integer());
    for (const Json& tensor : entry.at("tensors").array()) {
      const auto& fields = tensor.array();
      family.tensors.push_back({fields[0].string(), integers(fields[1]), fields[2].string()});
    }
    for (const Json& one : entry.at("cases").array()) {
      Case& golden = family.cases.emplace_back();
      golden.type = one.at("type").string();
      golden.salt = one.at("salt").string();
      golden.tokens = integers(one.at("tokens"));
      golden.greedy = integers(one.at("greedy"));
      for (const Json& logit : one.at("logits").array()) golden.logits.push_back(logit.number());
    }
  }
  return all;
}

const std::vector<FamilyGoldens>& goldens() {
  static const std::vector<FamilyGoldens> all = read_goldens();
  return all;
}

// The files of one case in `folder`; the path to load.
std::filesystem::path write_case(const std::filesystem::path& folder, const FamilyGoldens& family,
                                 const Case& golden) {
  if (family.config.empty()) {
    const auto path = folder / "model.gguf";
    write_hashed_gguf(path, family.metadata, family.tensors, golden.type, golden.salt);
    return path;
  }
  write_hashed_folder(folder, family.config, family.tensors, golden.type, golden.salt);
  return folder;
}

// The largest difference as a share of the largest golden.
template <typename Logits>
double error_of(std::span<const float> logits, const Logits& golden) {
  double difference = 0, largest = 0;
  for (size_t i = 0; i < golden.size(); i++) {
    difference = std::max(difference, std::abs(double(logits[i]) - double(golden[i])));
    largest = std::max(largest, std::abs(double(golden[i])));
  }
  return difference / largest;
}

size_t best_of(std::span<const float> logits) {
  return size_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Result {
  std::vector<float> logits;  // behind the prompt
  std::vector<Token> greedy;  // the best token behind the prompt and behind each of the golden text
};

// Reads the prompt and the golden text at once: where every best token is the golden text's next,
// the text is what would be written token by token.
Result read_at_once(LoadedModel& loaded, const Case& golden) {
  std::vector<Token> tokens = golden.tokens;
  tokens.insert(tokens.end(), golden.greedy.begin(), golden.greedy.end() - 1);
  Sequence sequence = loaded.sequence();
  loaded.model.read(sequence, tokens);
  Result result;
  for (size_t i = golden.tokens.size() - 1; i < tokens.size(); i++) {
    const auto logits = loaded.model.logits(i);
    if (result.logits.empty()) result.logits.assign(logits.begin(), logits.end());
    result.greedy.push_back(Token(best_of(logits)));
  }
  return result;
}

std::vector<Token> write_one_by_one(LoadedModel& loaded, const Case& golden) {
  Sequence sequence = loaded.sequence();
  auto logits = loaded.model.forward(sequence, golden.tokens);
  std::vector<Token> text = {Token(best_of(logits))};
  while (text.size() < golden.greedy.size()) {
    logits = loaded.model.forward(sequence, {&text.back(), 1});
    text.push_back(Token(best_of(logits)));
  }
  return text;
}

// Calls check(path, options, family, golden) on the files of every family in every type.
template <typename Check>
void for_all_goldens(Check check) {
  for (const FamilyGoldens& family : goldens()) {
    for (const Case& golden : family.cases) {
      CAPTURE(family.name);
      CAPTURE(family.config.empty());
      CAPTURE(golden.type);
      const TemporaryFolder folder;
      ModelOptions options = with_f32_cache();
      options.slope_layer_shift = family.shift;
      check(write_case(folder.path(), family, golden), options, family, golden);
    }
  }
}

}  // namespace

TEST_CASE("every family in every type computes what Hugging Face transformers does") {
  REQUIRE(goldens().size() >= 20);
  const auto backend = make_exact_backend();
  double worst = 0;
  size_t count = 0;
  for_all_goldens(
      [&](const auto& path, const auto& options, const auto& family, const auto& golden) {
        LoadedModel loaded(path, *backend, options);
        const Result result = read_at_once(loaded, golden);
        const double error = error_of(result.logits, golden.logits);
        CHECK(error <= kExact);
        CHECK(result.greedy == golden.greedy);
        if (golden.type == "F32") CHECK(write_one_by_one(loaded, golden) == golden.greedy);
        int64_t parameters = 0;
        for (const HashedTensor& tensor : family.tensors) {
          int64_t size = 1;
          for (const int dim : tensor.shape) size *= dim;
          parameters += size;
        }
        CHECK(loaded.model.counts().total == parameters);
        worst = std::max(worst, error);
        count++;
      });
  MESSAGE(count << " models, worst " << worst);
}

TEST_CASE("what is converted is counted as what stays, and what is mapped as what can be paged") {
  const auto backend = make_exact_backend();
  std::set<std::string> types;
  for_all_goldens([&](const auto& path, const auto& options, const auto&, const auto& golden) {
    const ModelFiles files(path);
    const Weights weights(files, [](float) {});
    size_t converted = 0, mapped = 0;  // of int4: zeros, and scales that are no halves
    for (const auto& [name, tensor] : files.tensors()) {
      mapped += tensor.bytes.size();
      if (!name.ends_with(".weight_scale") || !golden.type.starts_with("INT4")) continue;
      const auto size = size_t(tensor.shape[0] * tensor.shape[1]);
      if (golden.type == "INT4_ZERO") converted += size;
      if (golden.type == "INT4_128") converted += 2 * size;
    }
    CAPTURE(golden.type);
    CHECK(weights.owned_bytes() >= converted);
    const LoadedModel loaded(path, *backend, options);
    const WeightBytes& bytes = loaded.model.weight_bytes();
    CHECK(bytes.fixed >= weights.owned_bytes());
    CHECK(bytes.fixed + bytes.routed <= weights.owned_bytes() + mapped);
    if (converted > 0) types.insert(golden.type);
  });
  CHECK(types.size() == 2);
}

TEST_CASE("a folder has the same name however it is spelled") {
  for_all_goldens([&](const auto& path, const auto&, const auto&, const auto&) {
    if (!std::filesystem::is_directory(path)) return;
    const std::string name = ModelFiles(path).config().model_name;
    CHECK_FALSE(name.empty());
    for (const char* end : {"", "."}) CHECK(ModelFiles(path / end).config().model_name == name);
  });
}

TEST_CASE("keys and values in float16 change little, in every family") {
  const auto backend = make_exact_backend();
  double worst = 0;
  for_all_goldens([&](const auto& path, auto options, const auto&, const auto& golden) {
    if (golden.type != "F32") return;  // of what a cache holds the others say nothing more
    options.kv_cache = Type::f16;
    LoadedModel loaded(path, *backend, options);
    const Result result = read_at_once(loaded, golden);
    const double error = error_of(result.logits, golden.logits);
    CHECK(error <= kHalf);
    CHECK(result.greedy == golden.greedy);
    worst = std::max(worst, error);
  });
  MESSAGE("worst " << worst);
}

TEST_CASE("every backend computes what the reference does, in every family and type") {
  const auto reference = make_reference_backend();
  std::map<std::string, double> worst;
  std::set<std::string> families, on_gpu;  // on_gpu: families and types
  size_t count = 0;
  for_all_goldens(
      [&](const auto& path, const auto& options, const auto& family, const auto& golden) {
        families.insert(family.name);
        // An emulated GPU takes minutes for all of them: it gets a third, and the first of each
        // family and of each type.
        const bool is_first = !on_gpu.contains(golden.type) || !on_gpu.contains(family.name);
        const bool leaves_gpu_out = gpu_is_emulated() && count++ % 3 != 0 && !is_first;
        LoadedModel specification(path, *reference, options);
        const Result expected = read_at_once(specification, golden);
        const bool rounds = golden.type != "F32" && golden.type != "F16";
        for (const std::string& name : tested_backends()) {
          if (name == "reference" || (name == "cuda" && leaves_gpu_out)) continue;
          CAPTURE(name);
          const TestedBackends backends(name);
          LoadedModel loaded(path, backends.both(), options);
          const Result result = read_at_once(loaded, golden);
          const double error = error_of(result.logits, expected.logits);
          CHECK(error <= rounding(golden.type));
          if (!rounds) CHECK(write_one_by_one(loaded, golden) == golden.greedy);
          worst[golden.type] = std::max(worst[golden.type], error);
          if (name == "cuda") on_gpu.insert({golden.type, family.name});
        }
      });
  for (const auto& [type, error] : worst) MESSAGE(type << ": worst " << error);
  CHECK(on_gpu.size() == (has_gpu() ? worst.size() + families.size() : 0));
}
