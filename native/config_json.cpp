// Config from a Hugging Face folder's config.json.
#include <algorithm>

#include "error.h"
#include "families.h"

namespace ringside {

namespace {

class Reader {
 public:
  Reader(const Json& json, const std::string& where) : json_(json), where_(where) {}

  [[noreturn]] void corrupt(const std::string& what) const {
    throw EngineError(ErrorCode::model_corrupt,
                      where_ + ": " + what + ". Export the model again, or choose another one.");
  }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw EngineError(ErrorCode::model_unsupported,
                      where_ + ": " + what + ". Choose another model.");
  }

  const Json* find(std::string_view key) const { return json_.find(key); }

  // Also one that is null, and so says "none".
  bool has(std::string_view key) const { return json_.has(key); }

  int size(std::string_view key, int64_t min) const { return checked(key, json_.at(key), min); }
  int size(std::string_view key, int64_t min, int fallback) const {
    const Json* value = json_.find(key);
    return value == nullptr ? fallback : checked(key, *value, min);
  }
  float positive(std::string_view key, float fallback) const {
    const Json* value = json_.find(key);
    if (value == nullptr) return fallback;
    const double number = value->number();
    if (!(number >= kLeastPositive) || number > 1e30) corrupt(quoted(key) + " must be positive");
    return static_cast<float>(number);
  }
  bool flag(std::string_view key, bool fallback) const {
    const Json* value = json_.find(key);
    return value == nullptr ? fallback : value->boolean();
  }
  std::string text(std::string_view key, std::string_view fallback) const {
    const Json* value = json_.find(key);
    return value == nullptr ? std::string(fallback) : value->string();
  }

  static std::string quoted(std::string_view key) { return "\"" + std::string(key) + "\""; }

 private:
  int checked(std::string_view key, const Json& value, int64_t min) const {
    const int64_t size = value.integer();
    if (size >= min && size <= kMaxSize) return static_cast<int>(size);
    corrupt(quoted(key) + " is " + std::to_string(size) + ", which is not in " +
            std::to_string(min) + " .. " + std::to_string(kMaxSize));
  }

  const Json& json_;
  const std::string& where_;
};

const Family& find_family(const Reader& read, const std::string& where) {
  const std::string model_type = read.text("model_type", "");
  std::string architecture;
  if (const Json* names = read.find("architectures"); names && !names->array().empty()) {
    architecture = names->array().front().string();
  }
  if (const Family* family = family_of_folder(architecture, model_type)) return *family;
  throw_unknown_family(
      where, "the architecture \"" + architecture + "\" (model type \"" + model_type + "\")");
}

// Which tensors are quantized is told by the tensors themselves; this rejects other layouts early.
void read_quantization(Config& c, const Reader& read) {
  const Json* quantization = read.find("quantization_config");
  if (quantization == nullptr) return;
  const Json* method = quantization->find("quant_method");
  const std::string name = method == nullptr ? "" : method->string();
  if (name == "compressed-tensors") return;
  if (name != "fp8") {
    read.unsupported("the quantization \"" + name +
                     "\" is not one that this engine reads. It reads compressed-tensors and fp8");
  }
  const Json* block = quantization->find("weight_block_size");
  if (block == nullptr) return;
  const auto& sides = block->array();
  if (sides.size() != 2 || sides[0].integer() != sides[1].integer() || sides[0].integer() < 32 ||
      sides[0].integer() > 4096 || sides[0].integer() % 32 != 0) {
    read.unsupported("weight_block_size must be two equal multiples of 32");
  }
  c.quantization_block = int(sides[0].integer());
}

// "rope_scaling", or the "rope_parameters" that newer files have in its place.
void read_rope(Config& c, const Reader& read, const std::string& where) {
  c.rope_theta = read.positive("rope_theta", c.rope_theta);
  const Json* json = read.find("rope_parameters");
  if (json == nullptr) json = read.find("rope_scaling");
  if (json == nullptr) return;
  const Reader rope(*json, where);
  c.rope_theta = rope.positive("rope_theta", c.rope_theta);
  const std::string kind = rope.text("rope_type", rope.text("type", "default"));
  RopeScaling& s = c.rope_scaling;
  if (kind == "default") return;
  s.factor = rope.positive("factor", 1);
  s.original_context = rope.size("original_max_position_embeddings", 1, c.max_position_embeddings);
  if (kind == "linear") {
    s.kind = RopeScaling::Kind::linear;
  } else if (kind == "llama3") {
    s.kind = RopeScaling::Kind::llama3;
    s.low_frequency_factor = rope.positive("low_freq_factor", 1);
    s.high_frequency_factor = rope.positive("high_freq_factor", 4);
    if (s.high_frequency_factor <= s.low_frequency_factor) {
      rope.corrupt("high_freq_factor must be above low_freq_factor");
    }
  } else if (kind == "yarn") {
    s.kind = RopeScaling::Kind::yarn;
    s.attention_factor = rope.positive("attention_factor", 0);
    s.beta_fast = rope.positive("beta_fast", 32);
    s.beta_slow = rope.positive("beta_slow", 1);
    for (const char* key : {"mscale", "mscale_all_dim"}) {
      if (rope.find(key) != nullptr) {
        rope.unsupported(std::string("rope_scaling sets ") + key +
                         ", which this engine does not compute");
      }
    }
  } else {
    rope.unsupported("the rope_scaling \"" + kind +
                     "\" is not one that this engine computes. It computes linear, llama3 and "
                     "yarn");
  }
}

void read_experts(Config& c, const Reader& read) {
  c.num_experts = read.size("num_experts", 0, 0);
  if (c.num_experts == 0) return;
  c.moe_intermediate_size = read.size("moe_intermediate_size", 1);
  c.num_experts_per_tok = read.size("num_experts_per_tok", 1);
  const int shared = read.size("num_shared_experts", 0, 0);
  if (shared > 0) {
    const int each = read.size("moe_shared_expert_intermediate_size", 1, c.moe_intermediate_size);
    if (int64_t(shared) * each > kMaxSize) read.corrupt("the shared experts are too wide");
    c.shared_intermediate_size = shared * each;
  }
  c.n_group = std::max(1, read.size("n_group", 0, 1));
  c.topk_group = std::max(1, read.size("topk_group", 0, 1));
  c.routed_scaling_factor = read.positive("routed_scaling_factor", 1);
  c.norm_topk_prob = read.flag("norm_topk_prob", c.norm_topk_prob);
  const std::string score = read.text("score_function", c.softmax_router ? "softmax" : "sigmoid");
  if (score != "softmax" && score != "sigmoid") {
    read.unsupported("the router's score_function \"" + score +
                     "\" is neither softmax nor sigmoid");
  }
  c.softmax_router = score == "softmax";
  c.first_k_dense_replace = read.size("first_k_dense_replace", 0, 0);
  c.decoder_sparse_step = read.size("decoder_sparse_step", 1, 1);
  if (const Json* layers = read.find("mlp_only_layers")) {
    for (const Json& layer : layers->array()) {
      const int64_t index = layer.integer();
      if (index >= 0 && index < c.num_hidden_layers) c.mlp_only_layers.push_back(int(index));
    }
    auto& sorted = c.mlp_only_layers;  // each once: every layer looks for itself in them
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  }
}

void read_attention(Config& c, const Reader& read) {
  c.num_attention_heads = read.size("num_attention_heads", 1);
  c.num_key_value_heads = read.size("num_key_value_heads", 1, c.num_attention_heads);
  c.head_dim = read.size("head_dim", 1, std::max(1, c.hidden_size / c.num_attention_heads));
  c.qk_norm = read.flag("use_qk_norm", c.qk_norm);
  double rotary = 1;
  if (const Json* factor = read.find("partial_rotary_factor")) rotary = factor->number();
  if (!(rotary >= 0 && rotary <= 1)) read.corrupt("partial_rotary_factor must be in 0 .. 1");
  c.rotary_dim = read.size("rotary_dim", 0, static_cast<int>(c.head_dim * rotary));
  c.layer_group_size = read.size("layer_group_size", 1, 1);
  c.group_norm_size = read.size("group_norm_size", 1, 1);
  c.linear_silu = read.flag("linear_silu", read.flag("use_linear_silu", false));
  c.linear_rope = read.flag("linear_rope", true);
  if (read.has("sliding_window")) c.sliding_window = read.size("sliding_window", 0, 0);
  if (c.window_on_demand || read.find("use_sliding_window") != nullptr) {
    // Of the layers behind max_window_layers.
    const bool slides = read.flag("use_sliding_window", false) &&
                        read.size("max_window_layers", 0, 0) < c.num_hidden_layers;
    if (slides) read.unsupported("only some of its layers have a sliding window");
    c.sliding_window = 0;
  }
  c.ring_window = read.size("ring_window", 0, 0);
  if (c.ring_window == 0) return;
  c.ring_max_hop = read.size("ring_max_hop", 0, 0);
  c.ring_slots = read.size("ring_slots", 1);
  c.ring_sinks = read.size("ring_sinks", 0, 0);
}

void check_activation(const Config& c, const Reader& read) {
  const std::string activation = read.text("hidden_act", c.gelu ? "gelu_pytorch_tanh" : "silu");
  const bool known =
      c.gelu ? activation == "gelu_pytorch_tanh" : activation == "silu" || activation == "swish";
  if (!known) {
    read.unsupported("the activation \"" + activation + "\" is not one that this family has here");
  }
}

Config read_config(const Json& json, const std::string& where) {
  const Reader read(json, where);
  const Family& family = find_family(read, where);
  Config c;
  family.defaults(c);
  c.family = family.name;
  c.model_name = read.text("model_name", "");
  c.vocab_size = read.size("vocab_size", 1);
  c.hidden_size = read.size("hidden_size", 1);
  c.num_hidden_layers = read.size("num_hidden_layers", 1);
  c.max_position_embeddings = read.size("max_position_embeddings", 1);
  c.norm_eps = read.positive(c.layer_norm ? "norm_epsilon" : "rms_norm_eps", 1e-6f);
  c.norm_head = read.flag("norm_head", false);
  if (const Json* tied = read.find("tie_word_embeddings")) c.tie_word_embeddings = tied->boolean();
  read_quantization(c, read);
  read_attention(c, read);
  read_rope(c, read, where);
  read_experts(c, read);
  check_activation(c, read);
  if (c.has_dense()) c.intermediate_size = read.size("intermediate_size", 1);
  if (const Json* features = read.find("syntax_features")) {
    for (const Json& feature : features->array()) c.syntax_features.push_back(feature.string());
  }
  if (const Json* shares = read.find("copy_shares")) {
    for (const Json& share : shares->array()) c.copy_shares.push_back(float(share.number()));
  }
  check_config(c, where);
  return c;
}

}  // namespace

Config config_from_json(std::string_view text, const std::string& where) {
  try {
    return read_config(Json::parse(text), where);
  } catch (const JsonError& error) {
    throw EngineError(ErrorCode::model_corrupt,
                      where + ": " + error.what() + ". Export the model again.");
  }
}

}  // namespace ringside
