#include "tiny_model.h"

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <vector>

#include "families.h"
#include "hashing.h"
#include "json.h"

namespace ringside {

namespace {

class Writer {
 public:
  Writer(const Config& config, std::string formats) : c_(config), formats_(std::move(formats)) {}

  std::string file() {
    matrix("model.word_embeddings", c_.vocab_size, c_.hidden_size);
    vector("model.norm.weight", {c_.hidden_size}, 1, 0.25f);
    for (int l = 0; l < c_.num_hidden_layers; l++) layer(l);
    return bytes();
  }

 private:
  struct Entry {
    std::string dtype, shape, data;
  };

  template <typename T>
  void put(const std::string& name, const std::string& dtype, std::vector<int> shape,
           const std::vector<T>& values) {
    Entry entry{dtype, "", {}};
    for (const int dim : shape) {
      if (!entry.shape.empty()) entry.shape += ',';
      entry.shape += std::to_string(dim);
    }
    entry.data.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    entries_[{-int(sizeof(T)), name}] = entry;  // wide types first: each is aligned
  }

  void vector(const std::string& name, std::vector<int> shape, float base, float scale) {
    size_t size = 1;
    for (const int dim : shape) size *= size_t(dim);
    std::vector<float> values(size);
    for (size_t i = 0; i < size; i++) values[i] = base + fraction(name, i) * scale;
    put(name, "F32", shape, values);
  }

  void matrix(const std::string& name, int rows, int cols) {
    const size_t size = size_t(rows) * size_t(cols);
    std::vector<float> values(size);
    for (size_t i = 0; i < size; i++) values[i] = fraction(name, i) * 0.25f;
    if (formats_ == "f32") {
      put(name + ".weight", "F32", {rows, cols}, values);
    } else if (formats_ == "mixed") {
      (hash(name, 0) & 1) ? f8(name, rows, cols) : int4(name, rows, cols);
    } else {
      std::vector<uint16_t> halves(size);
      for (size_t i = 0; i < size; i++) {
        halves[i] = formats_ == "f16" ? to_f16(values[i]) : to_bf16(values[i]);
      }
      put(name + ".weight", formats_ == "f16" ? "F16" : "BF16", {rows, cols}, halves);
    }
  }

  void int4(const std::string& name, int rows, int cols) {
    const size_t size = size_t(rows) * size_t(cols);
    std::vector<uint32_t> packed(size / 8);
    for (size_t i = 0; i < size; i++) {
      packed[i / 8] |= uint32_t(hash(name, i) >> 60) << (4 * (i % 8));
    }
    std::vector<uint16_t> scales(size / 32);
    for (size_t i = 0; i < scales.size(); i++) {
      scales[i] = to_f16(quarters(name + ".scale", i) / 32);
    }
    put(name + ".weight_packed", "I32", {rows, cols / 8}, packed);
    put(name + ".weight_scale", "F16", {rows, cols / 32}, scales);
    put(name + ".weight_shape", "I64", {2}, std::vector<int64_t>{rows, cols});
  }

  void f8(const std::string& name, int rows, int cols) {
    std::vector<uint8_t> codes(size_t(rows) * size_t(cols));
    for (size_t i = 0; i < codes.size(); i++) {
      const auto bits = uint8_t(hash(name, i) >> 58);  // sign, two bits of exponent, mantissa
      codes[i] = uint8_t((bits >> 5) << 7 | (((bits >> 3) & 3) + 4) << 3 | (bits & 7));
    }
    std::vector<float> scales(static_cast<size_t>(rows));
    for (size_t i = 0; i < scales.size(); i++) {
      scales[i] = quarters(name + ".scale", i) / 8;
    }
    put(name + ".weight", "F8_E4M3", {rows, cols}, codes);
    put(name + ".weight_scale", "F32", {rows, 1}, scales);
  }

  void feed_forward(const std::string& prefix, int hidden) {
    matrix(prefix + "gate_proj", hidden, c_.hidden_size);
    matrix(prefix + "up_proj", hidden, c_.hidden_size);
    matrix(prefix + "down_proj", c_.hidden_size, hidden);
  }

  void layer(int l) {
    const std::string p = "model.layers." + std::to_string(l) + ".", a = p + "attention.";
    const int dim = c_.num_attention_heads * c_.head_dim;
    vector(p + "input_layernorm.weight", {c_.hidden_size}, 1, 0.25f);
    vector(p + "post_attention_layernorm.weight", {c_.hidden_size}, 1, 0.25f);
    matrix(a + "query_key_value", dim + 2 * c_.kv_heads(l) * c_.head_dim, c_.hidden_size);
    matrix(a + "dense", c_.hidden_size, dim);
    vector(a + "query_layernorm.weight", {c_.head_dim}, 1, 0.25f);
    vector(a + "key_layernorm.weight", {c_.head_dim}, 1, 0.25f);
    if (c_.is_lightning(l)) {
      matrix(a + "g_proj", dim, c_.hidden_size);
      vector(a + "g_norm.weight", {dim}, 1, 0.25f);
    }
    if (!c_.has_experts(l)) return feed_forward(p + "mlp.", c_.intermediate_size);
    vector(p + "mlp.gate.weight", {c_.num_experts, c_.hidden_size}, 0, 0.25f);
    vector(p + "mlp.gate.expert_bias", {c_.num_experts}, 0, 0.125f);
    const int n_features = int(c_.syntax_features.size());
    if (n_features > 0) vector(p + "mlp.gate.syntax", {c_.num_experts, n_features}, 0, 1);
    for (int e = 0; e < c_.num_experts; e++) {
      feed_forward(p + "mlp.experts." + std::to_string(e) + ".", c_.moe_intermediate_size);
    }
    feed_forward(p + "mlp.shared_experts.", c_.shared_intermediate_size);
  }

  std::string bytes() const {
    std::string header = "{", data;
    for (const auto& [key, entry] : entries_) {
      header += (header.size() == 1 ? "\"" : ",\"") + key.second + "\":{\"dtype\":\"" +
                entry.dtype + "\",\"shape\":[" + entry.shape + "],\"data_offsets\":[" +
                std::to_string(data.size());
      data += entry.data;
      header += "," + std::to_string(data.size()) + "]}";
    }
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    std::string length(8, '\0');
    for (size_t i = 0; i < 8; i++) length[i] = char(header.size() >> (8 * i) & 0xFF);
    return length + header + data;
  }

  const Config& c_;
  std::string formats_;
  std::map<std::pair<int, std::string>, Entry> entries_;
};

}  // namespace

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> count = 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  path_ = std::filesystem::temp_directory_path() /
          ("ringside-test-" + std::to_string(now) + "-" + std::to_string(count++));
  std::filesystem::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

void write_tiny_model(const std::filesystem::path& folder, const std::string& config_json,
                      const std::string& formats) {
  const Config config = config_from_json(config_json, "config.json");
  write_file(folder / "config.json", config_json);
  write_file(folder / "model.safetensors", Writer(config, formats).file());
}

std::string tiny_config(const std::string& changes) {
  std::map<std::string, std::string> members = {
      {"architectures", R"(["RingsideForCausalLM"])"},
      {"model_type", R"("ringside")"},
      {"model_name", R"("tiny")"},
      {"vocab_size", "320"},
      {"hidden_size", "64"},
      {"intermediate_size", "96"},
      {"moe_intermediate_size", "32"},
      {"num_hidden_layers", "3"},
      {"num_attention_heads", "4"},
      {"num_key_value_heads", "2"},
      {"head_dim", "16"},
      {"layer_group_size", "3"},
      {"group_norm_size", "2"},
      {"partial_rotary_factor", "0.5"},
      {"rope_theta", "10000"},
      {"rms_norm_eps", "1e-6"},
      {"linear_silu", "true"},
      {"max_position_embeddings", "1024"},
      {"num_experts", "8"},
      {"num_experts_per_tok", "2"},
      {"num_shared_experts", "1"},
      {"routed_scaling_factor", "1.5"},
      {"first_k_dense_replace", "1"},
      {"tie_word_embeddings", "true"},
      {"ring_window", "8"},
      {"ring_max_hop", "16"},
      {"ring_slots", "48"},
      {"ring_sinks", "2"},
      {"syntax_features", R"(["a", "b", "c", "d", "e"])"}};
  const Json changed = Json::parse("{" + changes + "}");
  std::string text = "{";
  for (const auto& [name, value] : members) {
    bool replaced = false;
    for (const auto& member : changed.object()) replaced = replaced || member.key == name;
    if (!replaced) text += (text.size() == 1 ? "\"" : ", \"") + name + "\": " + value;
  }
  return text + (changes.empty() ? "" : ", ") + changes + "}";
}

std::filesystem::path fixtures() { return RINGSIDE_FIXTURES; }

}  // namespace ringside
