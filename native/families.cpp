#include "families.h"

#include <algorithm>
#include <iterator>

#include "error.h"

namespace ringside {

namespace {

// Llama's names, which most decoders have taken over.
constexpr Names kLlamaNames = {
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .head = "lm_head",
    .layer = "model.layers.",
    .input_norm = "input_layernorm",
    .post_norm = "post_attention_layernorm",
    .qkv = "",
    .q = "self_attn.q_proj",
    .k = "self_attn.k_proj",
    .v = "self_attn.v_proj",
    .dense = "self_attn.o_proj",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .gate = "",
    .gate_norm = "",
    .ffn_gate = "mlp.gate_proj",
    .ffn_up = "mlp.up_proj",
    .ffn_down = "mlp.down_proj",
    .router = "mlp.gate",
    .router_bias = "",
    .router_syntax = "",
    .experts = "mlp.experts.",
    .expert_gate = "gate_proj",
    .expert_up = "up_proj",
    .expert_down = "down_proj",
    .shared_gate = "",
    .shared_up = "",
    .shared_down = "",
};

constexpr Names starcoder_names() {
  Names names = kLlamaNames;
  names.ffn_gate = "";
  names.ffn_up = "mlp.c_fc";
  names.ffn_down = "mlp.c_proj";
  return names;
}
constexpr Names kStarcoderNames = starcoder_names();

constexpr Names kBailingNames = {
    .embedding = "model.word_embeddings",
    .final_norm = "model.norm",
    .head = "lm_head",
    .layer = "model.layers.",
    .input_norm = "input_layernorm",
    .post_norm = "post_attention_layernorm",
    .qkv = "attention.query_key_value",
    .q = "",
    .k = "",
    .v = "",
    .dense = "attention.dense",
    .q_norm = "attention.query_layernorm",
    .k_norm = "attention.key_layernorm",
    .gate = "attention.g_proj",
    .gate_norm = "attention.g_norm",
    .ffn_gate = "mlp.gate_proj",
    .ffn_up = "mlp.up_proj",
    .ffn_down = "mlp.down_proj",
    .router = "mlp.gate",
    .router_bias = "mlp.gate.expert_bias",
    .router_syntax = "mlp.gate.syntax",
    .experts = "mlp.experts.",
    .expert_gate = "gate_proj",
    .expert_up = "up_proj",
    .expert_down = "down_proj",
    .shared_gate = "mlp.shared_experts.gate_proj",
    .shared_up = "mlp.shared_experts.up_proj",
    .shared_down = "mlp.shared_experts.down_proj",
};

// GGUF has one set of names for all.
constexpr Names kGgufNames = {
    .embedding = "token_embd",
    .final_norm = "output_norm",
    .head = "output",
    .layer = "blk.",
    .input_norm = "attn_norm",
    .post_norm = "ffn_norm",
    .qkv = "attn_qkv",
    .q = "attn_q",
    .k = "attn_k",
    .v = "attn_v",
    .dense = "attn_output",
    .q_norm = "attn_q_norm",
    .k_norm = "attn_k_norm",
    .gate = "",
    .gate_norm = "",
    .ffn_gate = "ffn_gate",
    .ffn_up = "ffn_up",
    .ffn_down = "ffn_down",
    .router = "ffn_gate_inp",
    .router_bias = "exp_probs_b.bias",
    .router_syntax = "",
    .experts = "",
    .expert_gate = "ffn_gate_exps",
    .expert_up = "ffn_up_exps",
    .expert_down = "ffn_down_exps",
    .shared_gate = "ffn_gate_shexp",
    .shared_up = "ffn_up_shexp",
    .shared_down = "ffn_down_shexp",
};

void no_defaults(Config&) {}

void ringside_defaults(Config& c) { c.qk_norm = true; }

void bailing_defaults(Config& c) { c.softmax_router = true; }

void bailing_v2_defaults(Config& c) { c.qk_norm = true; }

void qwen2_defaults(Config& c) {
  c.qkv_bias = true;
  c.window_on_demand = true;
}

void qwen3_defaults(Config& c) {
  c.qk_norm = true;
  c.window_on_demand = true;
}

void qwen3moe_defaults(Config& c) {
  qwen3_defaults(c);
  c.softmax_router = true;
  c.norm_topk_prob = false;
}

// Mistral 7B's (Jiang et al. 2023), which transformers takes where a folder says nothing.
void mistral_defaults(Config& c) { c.sliding_window = 4096; }

void starcoder2_defaults(Config& c) {
  c.layer_norm = true;
  c.gelu = true;
}

// Converters reorder the rows of q and k, so that neighbours are rotated.
void pairs_rotated(Config& c) { c.rope_interleaved = true; }

void llama_in_gguf(Config& c) {
  pairs_rotated(c);
  c.dense_only = true;
}

void weights_normalized(Config& c) { c.norm_topk_prob = true; }

// Of all three sizes (Lozhkov et al. 2024); converters leave it out.
void starcoder2_window(Config& c) { c.sliding_window = 4096; }

constexpr Family kFamilies[] = {
    {"ringside", "RingsideForCausalLM", "ringside", "", &kBailingNames, ringside_defaults,
     no_defaults},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", "qwen2", &kLlamaNames, qwen2_defaults, no_defaults},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", "qwen3", &kLlamaNames, qwen3_defaults, no_defaults},
    {"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", "qwen3moe", &kLlamaNames, qwen3moe_defaults,
     weights_normalized},
    {"llama", "LlamaForCausalLM", "llama", "llama", &kLlamaNames, no_defaults, llama_in_gguf},
    {"mistral", "MistralForCausalLM", "mistral", "", &kLlamaNames, mistral_defaults, no_defaults},
    {"starcoder2", "Starcoder2ForCausalLM", "starcoder2", "starcoder2", &kStarcoderNames,
     starcoder2_defaults, starcoder2_window},
    {"bailingmoe", "BailingMoeForCausalLM", "", "bailingmoe", &kBailingNames, bailing_defaults,
     pairs_rotated},
    {"bailingmoe2", "BailingMoeV2ForCausalLM", "", "bailingmoe2", &kBailingNames,
     bailing_v2_defaults, no_defaults},
    {"bailing_moe_linear", "BailingMoeLinearV2ForCausalLM", "bailing_moe_linear", "",
     &kBailingNames, bailing_v2_defaults, no_defaults},
};

}  // namespace

const Family* family_of_folder(std::string_view architecture, std::string_view model_type) {
  const auto* row = std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) {
    return architecture.empty() ? f.model_type == model_type && !model_type.empty()
                                : f.architecture == architecture;
  });
  return row == std::end(kFamilies) ? nullptr : row;
}

const Family* family_of_gguf(std::string_view architecture) {
  const auto* row = std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) {
    return f.gguf == architecture && !architecture.empty();
  });
  return row == std::end(kFamilies) ? nullptr : row;
}

void throw_unknown_family(const std::string& where, const std::string& what) {
  std::string folders, ggufs;
  for (const Family& family : kFamilies) {
    folders += (folders.empty() ? "" : ", ") + std::string(family.architecture);
    if (family.gguf.empty()) continue;
    ggufs += (ggufs.empty() ? "" : ", ") + std::string(family.gguf);
  }
  throw EngineError(ErrorCode::model_unsupported,
                    where + ": " + what + " is not one that this engine runs. It runs " + folders +
                        ", and as GGUF " + ggufs + ". Choose a model of one of these.");
}

const Names& names_in_folder(const Config& config) {
  const auto* row = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                 [&](const Family& f) { return f.name == config.family; });
  return *row->names;
}

const Names& names_in_gguf() { return kGgufNames; }

}  // namespace ringside
