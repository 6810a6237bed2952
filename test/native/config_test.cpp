#include "config.h"

#include <doctest/doctest.h>

#include <cmath>

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

// Of a model of three layers with 16 channels, with `more` keys behind the architecture's name.
// The result points into `architecture`.
Gguf gguf_of(std::string_view architecture, const std::map<std::string, double>& more) {
  std::map<std::string, double> keys = {{"embedding_length", 16},
                                        {"block_count", 3},
                                        {"context_length", 16384},
                                        {"attention.head_count", 2},
                                        {"feed_forward_length", 32}};
  for (const auto& [key, value] : more) keys[key] = value;
  Gguf gguf;
  gguf.metadata["general.architecture"] = GgufValue(architecture);
  for (const auto& [key, value] : keys) {
    gguf.metadata[std::string(architecture) + "." + key] =
        value == std::floor(value) ? GgufValue(int64_t(value)) : GgufValue(value);
  }
  gguf.tensors["token_embd.weight"].shape = {320, 16};
  return gguf;
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

TEST_CASE("GGUF's rope is scaled by a factor alone, under its older key too") {
  using Kind = RopeScaling::Kind;
  const auto scaling = [](const std::map<std::string, double>& keys) {
    return config_from_gguf(gguf_of("llama", keys), "model.gguf").rope_scaling;
  };
  CHECK(scaling({}).kind == Kind::none);
  CHECK(scaling({{"rope.scaling.factor", 1}}).kind == Kind::none);
  for (const char* key : {"rope.scaling.factor", "rope.scale_linear"}) {
    CAPTURE(key);
    CHECK(scaling({{key, 4}}).kind == Kind::linear);
    CHECK(scaling({{key, 4}}).factor == 4);
  }
  CHECK(scaling({{"rope.scaling.factor", 2}, {"rope.scale_linear", 4}}).factor == 2);
}

TEST_CASE("a window that a file leaves out is the family's") {
  const auto window = [](std::string_view family, const std::map<std::string, double>& keys) {
    return config_from_gguf(gguf_of(family, keys), "model.gguf").sliding_window;
  };
  CHECK(window("starcoder2", {}) == 4096);
  CHECK(window("starcoder2", {{"attention.sliding_window", 20}}) == 20);
  CHECK(window("llama", {}) == 0);
  const auto of_folder = [](const std::string& architecture, const std::string& more) {
    const std::string changes = R"("architectures": [")" + architecture + R"("], )" + more;
    return config_from_json(tiny_config(changes), "config.json").sliding_window;
  };
  CHECK(of_folder("Qwen2ForCausalLM", R"("sliding_window": 64)") == 0);
  CHECK(of_folder("Qwen2ForCausalLM", R"("sliding_window": 64, "use_sliding_window": false)") == 0);
  CHECK(of_folder("MistralForCausalLM", R"("sliding_window": 64)") == 64);
  CHECK(of_folder("MistralForCausalLM", R"("sliding_window": null)") == 0);
  CHECK(of_folder("MistralForCausalLM", R"("unknown": 1)") == 4096);
  CHECK(of_folder("LlamaForCausalLM", R"("unknown": 1)") == 0);
  // Where a file of another family says that there is none, there is none.
  const std::string off = R"("sliding_window": 64, "use_sliding_window": false)";
  CHECK(of_folder("LlamaForCausalLM", off) == 0);
}

TEST_CASE("Mixtral is refused as what does not run here, not as a broken file") {
  const Gguf mixtral = gguf_of("llama", {{"expert_count", 8}, {"expert_used_count", 2}});
  try {
    config_from_gguf(mixtral, "model.gguf");
    FAIL("the configuration was accepted");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::model_unsupported);
    CHECK(std::string(error.what()).find("Mixtral") != std::string::npos);
  }
}
