// Every family in every type of weights: Hugging Face's logits and greedy text.
#include <doctest/doctest.h>

#include <cmath>

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

std::vector<float> logits_after(LoadedModel& loaded, Sequence& sequence,
                                std::span<const Token> tokens) {
  const auto logits = loaded.model.forward(sequence, tokens);
  return {logits.begin(), logits.end()};
}

std::vector<Token> greedy_text(LoadedModel& loaded, Sequence& sequence, std::vector<float> logits,
                               size_t count) {
  std::vector<Token> text;
  while (text.size() < count) {
    const auto best = std::max_element(logits.begin(), logits.end());
    text.push_back(Token(best - logits.begin()));
    if (text.size() < count) logits = logits_after(loaded, sequence, {&text.back(), 1});
  }
  return text;
}

}  // namespace

TEST_CASE("every family in every type computes what Hugging Face transformers does") {
  REQUIRE(goldens().size() >= 20);
  const auto backend = make_exact_backend();
  double worst = 0;
  size_t count = 0;
  for (const FamilyGoldens& family : goldens()) {
    for (const Case& golden : family.cases) {
      CAPTURE(family.name);
      CAPTURE(family.config.empty());
      CAPTURE(golden.type);
      const TemporaryFolder folder;
      ModelOptions options;
      options.slope_layer_shift = family.shift;
      LoadedModel loaded(write_case(folder.path(), family, golden), *backend, options);
      Sequence sequence = loaded.sequence();
      const auto logits = logits_after(loaded, sequence, golden.tokens);
      const double error = error_of(logits, golden.logits);
      CHECK(error <= kExact);
      CHECK(greedy_text(loaded, sequence, logits, golden.greedy.size()) == golden.greedy);
      worst = std::max(worst, error);
      count++;
    }
  }
  MESSAGE(count << " models, worst " << worst);
}

TEST_CASE("every backend computes what the reference does, in every family and type") {
  const auto reference = make_reference_backend();
  double worst = 0;
  for (const FamilyGoldens& family : goldens()) {
    for (const Case& golden : family.cases) {
      const TemporaryFolder folder;
      const auto path = write_case(folder.path(), family, golden);
      ModelOptions options;
      options.slope_layer_shift = family.shift;
      LoadedModel specification(path, *reference, options);
      Sequence specified = specification.sequence();
      const auto expected = logits_after(specification, specified, golden.tokens);
      for (const std::string& name : available_backends()) {
        if (name == "reference") continue;
        CAPTURE(name);
        CAPTURE(family.name);
        CAPTURE(golden.type);
        const auto backend = make_backend(name, 1);
        LoadedModel loaded(path, *backend, options);
        Sequence sequence = loaded.sequence();
        const double error = error_of(logits_after(loaded, sequence, golden.tokens), expected);
        CHECK(error <= rounding(golden.type));
        worst = std::max(worst, error);
      }
    }
  }
  MESSAGE("worst " << worst);
}
