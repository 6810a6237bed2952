// What a model is: sizes and choices of a decoder, whichever file they come from. A family is a row
// of data (families.h); nothing below branches on a family's name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "type.h"

namespace ringside {

// The largest size of anything. No product of two passes 2^62, so nothing needs to fear an
// overflow.
constexpr int64_t kMaxSize = 1 << 24;
constexpr int kMaxLayers = 4096;

// How the rotation's frequencies are stretched beyond the context that the model was trained on.
struct RopeScaling {
  enum class Kind { none, linear, llama3, yarn };
  Kind kind = Kind::none;
  float factor = 1;
  int original_context = 0;
  float attention_factor = 0;  // yarn; 0: 0.1 ln(factor) + 1
  float beta_fast = 32, beta_slow = 1;
  float low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
};

// Names are those of config.json where it has them. Sizes are counts of floats, positions or
// tokens.
struct Config {
  std::string family;  // a row of families.h
  std::string model_name;
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;         // of the dense feed-forward
  int moe_intermediate_size = 0;     // of one expert
  int shared_intermediate_size = 0;  // of the shared experts together
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;  // softmax layers only; lightning layers have one a head
  int head_dim = 0;
  float norm_eps = 0;
  int max_position_embeddings = 0;
  std::optional<bool> tie_word_embeddings;  // not said: tied if there is no output matrix
  bool norm_head = false;                   // rows of the output matrix are divided by their length
  bool layer_norm = false;                  // LayerNorm with bias in place of RMSNorm
  bool gelu = false;      // the dense feed-forward is down(gelu(up x)), without a gate
  bool qk_norm = false;   // RMSNorm of each head of q and k
  bool qkv_bias = false;  // q, k and v must have biases (they may have them otherwise too)

  int rotary_dim = 0;
  float rope_theta = 10000;
  bool rope_interleaved = false;
  RopeScaling rope_scaling;

  int layer_group_size = 1;  // above 1: layers but the last of each group are lightning layers
  int group_norm_size = 1;   // the number of groups of the lightning layers' output norm
  bool linear_silu = false;
  bool linear_rope = true;
  Type kv_cache = Type::f32;  // or f16: keys and values of softmax layers, as a sequence keeps them
  int slope_layer_shift = 0;  // decay of layer i is that of layer i - shift: see decay()

  int num_experts = 0;  // 0: every feed-forward is dense
  int num_experts_per_tok = 0;
  int n_group = 1;
  int topk_group = 1;
  float routed_scaling_factor = 1;
  bool softmax_router = false;
  bool dense_only = false;  // no experts: in GGUF Mixtral goes by Llama's name
  bool norm_topk_prob = true;
  int first_k_dense_replace = 0;
  int decoder_sparse_step = 1;       // of the rest, only each step's last layer has experts
  std::vector<int> mlp_only_layers;  // and these have none

  int sliding_window = 0;         // softmax layers look at so many positions; 0: at all
  bool window_on_demand = false;  // config.json has it only with use_sliding_window
  int ring_window = 0;  // the same for ring attention, which forgets what it can't see; 0: none
  int ring_max_hop = 0;
  int ring_slots = 0;
  int ring_sinks = 0;
  std::vector<std::string> syntax_features;
  std::vector<float> copy_shares;  // see CopyModel; empty: the model copies nothing

  int quantization_block = 0;  // FP8: rows and columns that share a scale; 0: a row does

  bool is_lightning(int layer) const;
  bool has_experts(int layer) const;
  bool has_dense() const;  // a layer without experts
  // Positions before p that a query at p of a ring layer may look at: p - ring_reach() .. p - 1.
  int ring_reach() const;
  // Positions that a softmax layer's window spans; 0: all.
  int window() const { return ring_window > 0 ? ring_window : sliding_window; }
  int kv_heads(int layer) const {
    return is_lightning(layer) ? num_attention_heads : num_key_value_heads;
  }
  int attention_dim() const { return num_attention_heads * head_dim; }
};

// The least number that is positive in a float, and safe to divide by.
constexpr double kLeastPositive = 1e-30;

// Checks that the sizes fit each other. `where` names the file. Throws EngineError MODEL_CORRUPT.
void check_config(const Config& config, const std::string& where);

// The decay a token of each head of a lightning layer, in natural log units, all > 0:
// alibi slope * (1 - (layer - slope_layer_shift) / (layers - 1) + 1e-5).
std::vector<float> decay(const Config& config, int layer);

// The rotation's frequencies [rotary_dim / 2] in radians a position, and in `scale` what grows the
// rotated channels (YaRN, Peng et al. 2023; llama3 and linear as Hugging Face names them).
// `factors` divide the frequencies: GGUF's rope_freqs [rotary_dim / 2], or null.
std::vector<float> rope_frequencies(const Config& config, const float* factors, float& scale);

}  // namespace ringside
