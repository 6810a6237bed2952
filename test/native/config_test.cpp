#include "config.h"

#include <doctest/doctest.h>

#include "error.h"
#include "families.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

void check_refused(const std::string& text, ErrorCode code, const std::string& expected) {
  CAPTURE(expected);
  try {
    config_from_json(text, "config.json");
    FAIL("the configuration was accepted");
  } catch (const EngineError& error) {
    CHECK(std::string(name_of(error.code())) == name_of(code));
    CHECK(std::string(error.what()).find(expected) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("config says which layers are rings") {
  const Config six = config_from_json(tiny_config(R"("num_hidden_layers": 6)"), "config.json");
  const Config five = config_from_json(tiny_config(R"("num_hidden_layers": 5)"), "config.json");
  std::string kinds;
  for (int l = 0; l < 6; l++) kinds += six.is_lightning(l) ? 'l' : 'r';
  CHECK(kinds == "llrllr");
  kinds.clear();
  for (int l = 0; l < 5; l++) kinds += five.is_lightning(l) ? 'l' : 'r';
  CHECK(kinds == "llrrr");
}

TEST_CASE("decay falls with the head and with depth") {
  const Config config = config_from_json(tiny_config(), "config.json");
  const auto first = decay(config, 0), last = decay(config, 2);
  CHECK(first[0] == doctest::Approx(0.25 * 1.00001));
  CHECK(first[3] == doctest::Approx(0.25 / 64 * 1.00001));
  CHECK(last[0] == doctest::Approx(0.25 * 1e-5));
}

TEST_CASE("config refuses other families by name, and says which work") {
  check_refused(tiny_config(R"("architectures": ["MambaForCausalLM"], "model_type": "mamba")"),
                ErrorCode::model_unsupported,
                "the architecture \"MambaForCausalLM\" (model type \"mamba\") is not one that this "
                "engine runs. It runs RingsideForCausalLM, Qwen2ForCausalLM");
  check_refused(tiny_config(R"("architectures": [], "model_type": "mamba")"),
                ErrorCode::model_unsupported, "mamba");
  check_refused(tiny_config(R"("rope_scaling": {"rope_type": "longrope", "factor": 2})"),
                ErrorCode::model_unsupported, "longrope");
  check_refused(tiny_config(R"("hidden_act": "relu")"), ErrorCode::model_unsupported, "relu");
  check_refused(tiny_config(R"("quantization_config": {"quant_method": "gptq"})"),
                ErrorCode::model_unsupported, "\"gptq\"");
}

TEST_CASE("config refuses what cannot be computed") {
  const auto corrupt = [](const std::string& change, const std::string& expected) {
    check_refused(tiny_config(change), ErrorCode::model_corrupt, expected);
  };
  check_refused("{", ErrorCode::model_corrupt, "JSON");
  corrupt(R"("hidden_size": 0)", "hidden_size");
  corrupt(R"("hidden_size": -64)", "hidden_size");
  corrupt(R"("hidden_size": 1e12)", "hidden_size");
  corrupt(R"("hidden_size": 64.5)", "whole number");
  corrupt(R"("hidden_size": "64")", "number was expected");
  corrupt(R"("hidden_size": null)", "\"hidden_size\" is missing");
  corrupt(R"("num_key_value_heads": 3)", "num_key_value_heads");
  corrupt(R"("group_norm_size": 7)", "group_norm_size");
  corrupt(R"("partial_rotary_factor": 1.5)", "partial_rotary_factor");
  corrupt(R"("partial_rotary_factor": 0.2)", "even number");
  corrupt(R"("num_experts_per_tok": 9)", "num_experts_per_tok");
  corrupt(R"("n_group": 3)", "n_group");
  corrupt(R"("n_group": 8, "topk_group": 1)", "fewer than");
  corrupt(R"("ring_slots": 16)", "ring_slots");
  corrupt(R"("ring_sinks": 48)", "ring_sinks");
  corrupt(R"("rope_theta": 0)", "rope_theta");
}
