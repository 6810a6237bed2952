#include "models.h"

#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "families.h"
#include "random_weights.h"

namespace ringside::bench {

namespace {

std::string members(const std::string& text) { return "{" + text + "}"; }

std::string qwen2(int hidden, int ffn, int layers, int heads, int kv_heads, int head_dim, int vocab,
                  bool tied) {
  const auto number = [](const char* key, int value) {
    return std::string(",\"") + key + "\":" + std::to_string(value);
  };
  return members(
      R"("architectures":["Qwen2ForCausalLM"],"rope_theta":1000000,"rms_norm_eps":1e-6)" +
      number("hidden_size", hidden) + number("intermediate_size", ffn) +
      number("num_hidden_layers", layers) + number("num_attention_heads", heads) +
      number("num_key_value_heads", kv_heads) + number("head_dim", head_dim) +
      number("vocab_size", vocab) + number("max_position_embeddings", 32768) +
      ",\"tie_word_embeddings\":" + (tied ? "true" : "false"));
}

struct RingSizes {
  int hidden, ffn, expert, layers, heads, kv_heads, head_dim, group_size, norm_groups, experts,
      top_k, groups, top_groups, vocab;
};

std::string ring_linear(const RingSizes& s) {
  const auto number = [](const char* key, int value) {
    return std::string(",\"") + key + "\":" + std::to_string(value);
  };
  return members(
      R"("architectures":["BailingMoeLinearV2ForCausalLM"],"rope_theta":1000000)"
      R"(,"rms_norm_eps":1e-6,"partial_rotary_factor":0.5,"linear_silu":true,"use_qk_norm":true)"
      R"(,"num_shared_experts":1,"norm_topk_prob":true,"score_function":"sigmoid")"
      R"(,"routed_scaling_factor":2.5,"first_k_dense_replace":1,"tie_word_embeddings":false)"
      R"(,"max_position_embeddings":131072)" +
      number("hidden_size", s.hidden) + number("intermediate_size", s.ffn) +
      number("moe_intermediate_size", s.expert) + number("num_hidden_layers", s.layers) +
      number("num_attention_heads", s.heads) + number("num_key_value_heads", s.kv_heads) +
      number("head_dim", s.head_dim) + number("layer_group_size", s.group_size) +
      number("group_norm_size", s.norm_groups) + number("num_experts", s.experts) +
      number("num_experts_per_tok", s.top_k) + number("n_group", s.groups) +
      number("topk_group", s.top_groups) + number("vocab_size", s.vocab));
}

std::string with_quantization(const std::string& config) {
  return config.substr(0, config.size() - 1) +
         R"(,"quantization_config":{"quant_method":"compressed-tensors"}})";
}

}  // namespace

std::vector<Shape> model_shapes(bool tiny) {
  const std::string seven = tiny ? qwen2(256, 512, 2, 4, 2, 64, 512, false)
                                 : qwen2(3584, 18944, 28, 28, 4, 128, 152064, false);
  const std::string small = tiny ? qwen2(128, 256, 2, 2, 1, 64, 512, true)
                                 : qwen2(1536, 8960, 28, 12, 2, 128, 151936, true);
  const std::string mini =
      tiny ? ring_linear({128, 256, 64, 5, 4, 2, 32, 5, 4, 16, 4, 4, 2, 512})
           : ring_linear({2048, 5120, 512, 20, 16, 4, 128, 5, 4, 256, 8, 8, 4, 157184});
  // 100 B parameters of which a token takes 6.1 B; here with an eighth of the experts, of which a
  // token takes as many.
  const std::string flash =
      tiny ? ring_linear({128, 256, 64, 4, 4, 2, 32, 4, 4, 16, 4, 4, 2, 512})
           : ring_linear({4096, 9216, 1024, 32, 32, 4, 128, 8, 8, 32, 8, 8, 4, 157184});
  return {{"7b-int4", "Qwen2.5-7B, int4 by 32", seven, Stored::int4_by_32},
          {"7b-int4-128", "Qwen2.5-7B, int4 by 128", seven, Stored::int4_by_128},
          {"7b-q4_k", "Qwen2.5-7B, Q4_K (head Q6_K)", seven, Stored::q4_k},
          {"1.5b-int4", "Qwen2.5-Coder-1.5B, int4 by 32", small, Stored::int4_by_32},
          {"ring-mini-int4", "Ring-mini-linear-2.0, int4 by 32", mini, Stored::int4_by_32},
          {"ring-mini-f8", "Ring-mini-linear-2.0, FP8, a scale a row", mini, Stored::f8},
          {"ring-flash-int4", "Ring-flash-linear-2.0, 32 of its 256 experts, int4 by 32", flash,
           Stored::int4_by_32}};
}

const Shape& shape_named(const std::vector<Shape>& shapes, const std::string& name) {
  for (const Shape& shape : shapes) {
    if (shape.name == name) return shape;
  }
  throw std::runtime_error("there is no model " + name);
}

ModelFolder::ModelFolder(const std::filesystem::path& parent, const Shape& shape) {
  folder_ = parent / ("ringside-bench-" + std::to_string(::getpid()) + "-" + shape.name);
  std::filesystem::create_directories(folder_);
  try {
    const std::string text = with_quantization(shape.config);
    const Config config = config_from_json(text, "config.json");
    const bool gguf = shape.stored == Stored::q4_k;
    if (!gguf) std::ofstream(folder_ / "config.json") << text;
    path_ = gguf ? folder_ / "model.gguf" : folder_;
    bytes_ =
        write_weights(folder_ / (gguf ? "model.gguf" : "model.safetensors"), config, shape.stored);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    throw;
  }
}

ModelFolder::~ModelFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace ringside::bench
