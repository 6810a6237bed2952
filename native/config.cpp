#include "config.h"

#include <algorithm>
#include <cmath>

#include "backend.h"
#include "error.h"
#include "json.h"

namespace ringside {

namespace {

// A family is a row: what config.json calls it. Its layers are built from Config alone.
struct Family {
  std::string_view model_type;
  std::string_view architecture;
};

constexpr Family kFamilies[] = {{"ringside", "RingsideForCausalLM"}};

// No product of two sizes passes 2^62, so nothing below needs to fear an overflow.
constexpr int64_t kMaxSize = 1 << 24;

class Reader {
 public:
  Reader(const Json& json, const std::string& where) : json_(json), where_(where) {}

  [[noreturn]] void corrupt(const std::string& what) const {
    throw EngineError(ErrorCode::model_corrupt,
                      where_ + ": " + what + ". Export the model again, or choose another one.");
  }

  [[noreturn]] void unsupported(const std::string& what) const {
    throw EngineError(ErrorCode::model_unsupported, where_ + ": " + what);
  }

  int size(std::string_view key, int64_t min) const { return checked(key, json_.at(key), min); }

  int size(std::string_view key, int64_t min, int fallback) const {
    const Json* value = json_.find(key);
    return value == nullptr ? fallback : checked(key, *value, min);
  }

  float positive(std::string_view key) const {
    const double value = json_.at(key).number();
    if (!(value > 0) || value > 1e30) corrupt("\"" + std::string(key) + "\" must be positive");
    return static_cast<float>(value);
  }

  std::string text(std::string_view key, std::string_view fallback) const {
    const Json* value = json_.find(key);
    return value == nullptr ? std::string(fallback) : value->string();
  }

 private:
  int checked(std::string_view key, const Json& value, int64_t min) const {
    const int64_t size = value.integer();
    if (size >= min && size <= kMaxSize) return static_cast<int>(size);
    corrupt("\"" + std::string(key) + "\" is " + std::to_string(size) + ", which is not in " +
            std::to_string(min) + " .. " + std::to_string(kMaxSize));
  }

  const Json& json_;
  const std::string& where_;
};

void check_family(const Json& json, const Reader& read) {
  const std::string model_type = read.text("model_type", "");
  std::string architecture;
  if (const Json* names = json.find("architectures"); names && !names->array().empty()) {
    architecture = names->array().front().string();
  }
  std::string known;
  for (const Family& family : kFamilies) {
    if (model_type == family.model_type && architecture == family.architecture) return;
    known += (known.empty() ? "" : ", ") + std::string(family.model_type) + " (" +
             std::string(family.architecture) + ")";
  }
  read.unsupported("the model type \"" + model_type + "\" (" + architecture +
                   ") is not one that this engine runs. It runs: " + known + ".");
}

// The layout that `ringside` writes is told by the tensors themselves; this rejects the others
// early.
void check_quantization(const Json& json, const Reader& read) {
  const Json* quantization = json.find("quantization_config");
  if (quantization == nullptr) return;
  const Json* method = quantization->find("quant_method");
  const std::string name = method == nullptr ? "" : method->string();
  if (name != "compressed-tensors") {
    read.unsupported("the quantization \"" + name +
                     "\" is not one that this engine reads. It reads compressed-tensors.");
  }
}

void check_consistency(const Config& c, const Reader& read) {
  const auto need = [&](bool holds, const char* rule) {
    if (!holds) read.corrupt(rule);
  };
  need(c.num_attention_heads % c.num_key_value_heads == 0,
       "num_attention_heads must be a multiple of num_key_value_heads");
  need(int64_t(c.num_attention_heads) * c.head_dim <= kMaxSize, "the heads are too wide");
  need(c.head_dim <= kMaxHeadDim, "head_dim must be at most 256");
  need(c.num_attention_heads * c.head_dim % c.group_norm_size == 0,
       "group_norm_size must divide num_attention_heads * head_dim");
  need(c.rotary_dim % 2 == 0 && c.rotary_dim <= c.head_dim,
       "partial_rotary_factor must give an even number of channels");
  if (c.num_experts > 0) {
    need(c.num_experts_per_tok <= c.num_experts, "num_experts_per_tok is above num_experts");
    need(c.num_experts % c.n_group == 0, "n_group must divide num_experts");
    need(c.topk_group <= c.n_group, "topk_group is above n_group");
    need(int64_t(c.num_experts_per_tok) <= int64_t(c.topk_group) * (c.num_experts / c.n_group),
         "the topk_group groups have fewer than num_experts_per_tok experts");
    need(c.num_shared_experts * int64_t(c.moe_intermediate_size) <= kMaxSize,
         "the shared experts are too wide");
  }
  if (c.ring_window > 0) {
    need(c.ring_slots > c.ring_reach(), "ring_slots must be above ring_window and ring_max_hop");
    need(c.ring_sinks < c.ring_slots, "ring_sinks must be below ring_slots");
  }
}

Config read_config(const Json& json, const Reader& read) {
  Config c;
  c.family = read.text("model_type", "");
  c.model_name = read.text("model_name", c.family);
  c.end_of_text_token = read.text("end_of_text_token", "<|endoftext|>");
  c.vocab_size = read.size("vocab_size", 1);
  c.hidden_size = read.size("hidden_size", 1);
  c.num_hidden_layers = read.size("num_hidden_layers", 1);
  c.num_attention_heads = read.size("num_attention_heads", 1);
  c.num_key_value_heads = read.size("num_key_value_heads", 1);
  c.head_dim = read.size("head_dim", 1);
  c.layer_group_size = read.size("layer_group_size", 1);
  c.group_norm_size = read.size("group_norm_size", 1, 1);
  const double rotary = json.at("partial_rotary_factor").number();
  if (!(rotary >= 0 && rotary <= 1)) read.corrupt("partial_rotary_factor must be in 0 .. 1");
  c.rotary_dim = static_cast<int>(c.head_dim * rotary);
  c.rope_theta = read.positive("rope_theta");
  c.rms_norm_eps = read.positive("rms_norm_eps");
  const Json* silu = json.find("linear_silu");
  c.linear_silu = silu != nullptr && silu->boolean();
  c.max_position_embeddings = read.size("max_position_embeddings", 1);

  c.num_experts = read.size("num_experts", 0, 0);
  if (c.num_experts > 0) {
    c.moe_intermediate_size = read.size("moe_intermediate_size", 1);
    c.num_experts_per_tok = read.size("num_experts_per_tok", 1);
    c.num_shared_experts = read.size("num_shared_experts", 0, 0);
    c.n_group = std::max(1, read.size("n_group", 0, 1));
    c.topk_group = std::max(1, read.size("topk_group", 0, 1));
    c.routed_scaling_factor =
        json.find("routed_scaling_factor") ? read.positive("routed_scaling_factor") : 1.0f;
    c.first_k_dense_replace = read.size("first_k_dense_replace", 0, 0);
  }
  const bool any_dense = c.num_experts == 0 || c.first_k_dense_replace > 0;
  if (any_dense) c.intermediate_size = read.size("intermediate_size", 1);

  c.ring_window = read.size("ring_window", 0, 0);
  if (c.ring_window > 0) {
    c.ring_max_hop = read.size("ring_max_hop", 0, 0);
    c.ring_slots = read.size("ring_slots", 1);
    c.ring_sinks = read.size("ring_sinks", 0, 0);
  }
  if (const Json* features = json.find("syntax_features")) {
    for (const Json& feature : features->array()) c.syntax_features.push_back(feature.string());
  }
  const Json* tied = json.find("tie_word_embeddings");
  if (tied == nullptr || !tied->boolean()) {
    read.unsupported("\"tie_word_embeddings\" must be true; this engine has no separate lm_head.");
  }
  return c;
}

std::vector<double> alibi_slopes(int n) {
  const auto power_of_two = [](int m) {
    std::vector<double> slopes(static_cast<size_t>(m));
    for (int i = 0; i < m; i++) slopes[size_t(i)] = std::exp2(-8.0 * (i + 1) / m);
    return slopes;
  };
  int below = 1;
  while (below * 2 <= n) below *= 2;
  std::vector<double> slopes = power_of_two(below);
  const std::vector<double> more = power_of_two(2 * below);
  for (size_t i = 0; slopes.size() < size_t(n); i += 2) slopes.push_back(more[i]);
  return slopes;
}

}  // namespace

bool Config::is_lightning(int layer) const {
  if (layer_group_size <= 1) return false;
  const int grouped = num_hidden_layers / layer_group_size * layer_group_size;
  return (layer + 1) % layer_group_size != 0 && layer < grouped;
}

int Config::ring_reach() const { return std::max(ring_window, ring_max_hop); }

Config parse_config(std::string_view text, const std::string& where) {
  try {
    const Json json = Json::parse(text);
    const Reader read(json, where);
    check_family(json, read);
    check_quantization(json, read);
    const Config config = read_config(json, read);
    check_consistency(config, read);
    return config;
  } catch (const JsonError& error) {
    throw EngineError(ErrorCode::model_corrupt,
                      where + ": " + error.what() + ". Export the model again.");
  }
}

std::vector<float> decay(const Config& config, int layer) {
  const int last = config.num_hidden_layers - 1;
  const double depth = last == 0 ? 0.0 : double(layer) / last;
  std::vector<float> decays;
  for (const double slope : alibi_slopes(config.num_attention_heads)) {
    decays.push_back(static_cast<float>(slope * (1.0 - depth + 1e-5)));
  }
  return decays;
}

}  // namespace ringside
