// Config from GGUF's metadata.
#include <algorithm>
#include <cmath>

#include "error.h"
#include "families.h"

namespace ringside {

namespace {

// Keys stand behind the architecture's name: "qwen2.context_length".
class Reader {
 public:
  Reader(const Gguf& gguf, std::string architecture, const std::string& where)
      : gguf_(gguf), prefix_(std::move(architecture) + "."), where_(where) {}

  [[noreturn]] void corrupt(const std::string& what) const {
    throw EngineError(ErrorCode::model_corrupt,
                      where_ + ": " + what + ". Download or convert the model again.");
  }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw EngineError(ErrorCode::model_unsupported,
                      where_ + ": " + what + ". Choose another model.");
  }

  int size(std::string_view key, int64_t min) const {
    const GgufValue* value = find(key);
    if (value == nullptr) corrupt("the metadata lacks " + prefix_ + std::string(key));
    return checked(key, *value, min);
  }
  int size(std::string_view key, int64_t min, int fallback) const {
    const GgufValue* value = find(key);
    return value == nullptr ? fallback : checked(key, *value, min);
  }
  float positive(std::string_view key, float fallback) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return fallback;
    double number = 0;
    if (!value->real(number) || !(number >= kLeastPositive) || number > 1e30) {
      corrupt(prefix_ + std::string(key) + " must be positive");
    }
    return float(number);
  }
  bool flag(std::string_view key, bool fallback) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return fallback;
    if (value->boolean() == nullptr) corrupt(prefix_ + std::string(key) + " must be true or false");
    return *value->boolean();
  }
  std::string text(std::string_view key, std::string_view fallback) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::string(fallback);
    if (value->string() == nullptr) corrupt(prefix_ + std::string(key) + " must be a string");
    return std::string(*value->string());
  }

 private:
  const GgufValue* find(std::string_view key) const {
    return gguf_.find(prefix_ + std::string(key));
  }

  // A whole number, or an array with one for each layer, which must all be the same.
  int checked(std::string_view key, const GgufValue& value, int64_t min) const {
    int64_t size = -1;
    if (const auto* numbers = value.numbers(); numbers != nullptr && !numbers->empty()) {
      const auto same = [&](double number) { return number == numbers->front(); };
      if (!std::all_of(numbers->begin(), numbers->end(), same)) {
        unsupported(prefix_ + std::string(key) + " differs from layer to layer");
      }
      const double first = numbers->front();
      size =
          first == std::floor(first) && std::abs(first) <= double(kMaxSize) ? int64_t(first) : -1;
    } else if (!value.integer(size)) {
      size = -1;
    }
    if (size >= min && size <= kMaxSize) return int(size);
    corrupt(prefix_ + std::string(key) + " is not in " + std::to_string(min) + " .. " +
            std::to_string(kMaxSize));
  }

  const Gguf& gguf_;
  std::string prefix_;
  const std::string& where_;
};

void read_rope(Config& c, const Reader& read) {
  c.rope_theta = read.positive("rope.freq_base", 10000);
  c.rotary_dim = read.size("rope.dimension_count", 0, c.head_dim);
  RopeScaling& s = c.rope_scaling;
  // Older converters write a factor without a type, or under the older key: then it is linear.
  const std::string kind = read.text("rope.scaling.type", "linear");
  s.factor = read.positive("rope.scaling.factor", read.positive("rope.scale_linear", 1));
  s.original_context =
      read.size("rope.scaling.original_context_length", 1, c.max_position_embeddings);
  if (kind == "linear") {
    s.kind = s.factor == 1 ? RopeScaling::Kind::none : RopeScaling::Kind::linear;
  } else if (kind == "yarn") {
    s.kind = RopeScaling::Kind::yarn;
    s.beta_fast = read.positive("rope.scaling.yarn_beta_fast", 32);
    s.beta_slow = read.positive("rope.scaling.yarn_beta_slow", 1);
    const float grown = read.positive("rope.scaling.attn_factor", 1);
    if (grown != 1) s.attention_factor = grown * (0.1f * std::log(s.factor) + 1.0f);
  } else if (kind != "none") {
    read.unsupported("the rope scaling \"" + kind + "\" is not one that this engine computes");
  }
}

void read_experts(Config& c, const Reader& read) {
  c.num_experts = read.size("expert_count", 0, 0);
  if (c.num_experts == 0) return;
  if (c.dense_only)
    read.unsupported(
        "it is a mixture of experts of Mixtral's kind, which this engine does not run");
  c.num_experts_per_tok = read.size("expert_used_count", 1);
  c.moe_intermediate_size = read.size("expert_feed_forward_length", 1);
  const int shared = read.size("expert_shared_count", 0, 0);
  if (shared > 0) {
    const int each = read.size("expert_shared_feed_forward_length", 1, c.moe_intermediate_size);
    if (int64_t(shared) * each > kMaxSize) read.corrupt("the shared experts are too wide");
    c.shared_intermediate_size = shared * each;
  }
  c.n_group = std::max(1, read.size("expert_group_count", 0, 1));
  c.topk_group = std::max(1, read.size("expert_group_used_count", 0, 1));
  c.routed_scaling_factor = read.positive("expert_weights_scale", 1);
  c.norm_topk_prob = read.flag("expert_weights_norm", c.norm_topk_prob);
  const int gating = read.size("expert_gating_func", 0, 0);
  if (gating > 2) read.unsupported("its router scores experts in another way");
  if (gating > 0) c.softmax_router = gating == 1;
  c.first_k_dense_replace = read.size("leading_dense_block_count", 0, 0);
}

}  // namespace

Config config_from_gguf(const Gguf& gguf, const std::string& where) {
  const GgufValue* architecture = gguf.find("general.architecture");
  const std::string name = architecture != nullptr && architecture->string() != nullptr
                               ? std::string(*architecture->string())
                               : "";
  const Family* family = family_of_gguf(name);
  if (family == nullptr) throw_unknown_family(where, "the architecture \"" + name + "\"");

  const Reader read(gguf, name, where);
  Config c;
  family->defaults(c);
  family->gguf_defaults(c);
  c.family = family->name;
  if (const GgufValue* title = gguf.find("general.name"); title && title->string()) {
    c.model_name = *title->string();
  }
  const auto embedding = gguf.tensors.find("token_embd.weight");
  if (embedding == gguf.tensors.end() || embedding->second.shape.size() != 2 ||
      embedding->second.shape[0] < 1 || embedding->second.shape[0] > kMaxSize) {
    read.corrupt("it has no usable tensor token_embd.weight");
  }
  c.vocab_size = int(embedding->second.shape[0]);
  c.hidden_size = read.size("embedding_length", 1);
  // The last blocks may be for guessing several tokens ahead (MTP); they are not part of the model.
  const int ahead = read.size("nextn_predict_layers", 0, 0);
  c.num_hidden_layers = read.size("block_count", 1) - ahead;
  if (c.num_hidden_layers < 1) read.corrupt("all of its blocks are for predicting ahead");
  c.max_position_embeddings = read.size("context_length", 1);
  c.num_attention_heads = read.size("attention.head_count", 1);
  c.num_key_value_heads = read.size("attention.head_count_kv", 1, c.num_attention_heads);
  c.head_dim =
      read.size("attention.key_length", 1, std::max(1, c.hidden_size / c.num_attention_heads));
  if (read.size("attention.value_length", 1, c.head_dim) != c.head_dim) {
    read.unsupported("its keys and values differ in length");
  }
  c.norm_eps = read.positive(
      c.layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-6f);
  c.sliding_window = read.size("attention.sliding_window", 0, c.sliding_window);
  c.tie_word_embeddings = !gguf.tensors.contains("output.weight");
  read_rope(c, read);
  read_experts(c, read);
  if (c.has_dense()) c.intermediate_size = read.size("feed_forward_length", 1);
  check_config(c, where);
  return c;
}

}  // namespace ringside
