// What config.json says of a model of the ringside family.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ringside {

// Names are those of config.json. Sizes are counts of floats, positions or tokens.
struct Config {
  std::string family;  // the model_type
  std::string model_name;
  std::string end_of_text_token;
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;      // of the dense feed-forward
  int moe_intermediate_size = 0;  // of one expert
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;  // ring layers only; lightning layers have one a head
  int head_dim = 0;
  int layer_group_size = 0;
  int group_norm_size = 0;  // the number of groups
  int rotary_dim = 0;
  float rope_theta = 0;
  float rms_norm_eps = 0;
  bool linear_silu = false;
  int max_position_embeddings = 0;
  int num_experts = 0;  // 0: every feed-forward is dense
  int num_experts_per_tok = 0;
  int num_shared_experts = 0;
  int n_group = 1;
  int topk_group = 1;
  float routed_scaling_factor = 1;
  int first_k_dense_replace = 0;
  int ring_window = 0;  // 0: full causal attention
  int ring_max_hop = 0;
  int ring_slots = 0;
  int ring_sinks = 0;
  std::vector<std::string> syntax_features;

  bool is_lightning(int layer) const;
  bool has_experts(int layer) const { return num_experts > 0 && layer >= first_k_dense_replace; }
  // Positions before p that a query at p of a ring layer may look at: p - ring_reach() .. p - 1.
  int ring_reach() const;
  int kv_heads(int layer) const {
    return is_lightning(layer) ? num_attention_heads : num_key_value_heads;
  }
};

// Reads and checks config.json. `where` names the file in messages. Throws EngineError
// MODEL_UNSUPPORTED for another family or an option that the engine does not compute, MODEL_CORRUPT
// for anything that is not a sane configuration.
Config parse_config(std::string_view text, const std::string& where);

// The decay a token of each head of a lightning layer, in natural log units, all > 0.
std::vector<float> decay(const Config& config, int layer);

}  // namespace ringside
