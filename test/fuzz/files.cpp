#include "files.h"

#include <cctype>
#include <cstring>

#include "families.h"
#include "hashed_files.h"
#include "json.h"
#include "mapping.h"
#include "tiny_model.h"

namespace ringside {

namespace {

// Finds the fields of a GGUF file that is known to be well formed.
class FieldFinder {
 public:
  explicit FieldFinder(const std::string& file) : file_(file) {}

  std::vector<Field> find() {
    at_ = 4;
    take(4);
    const uint64_t tensors = take(8), values = take(8);
    for (uint64_t i = 0; i < values; i++) {
      string();
      value(take(4));
    }
    for (uint64_t i = 0; i < tensors; i++) {
      string();
      const uint64_t dims = take(4);
      for (uint64_t d = 0; d < dims; d++) take(8);
      take(4);
      take(8);
    }
    return fields_;
  }

 private:
  uint64_t number(size_t width) {
    uint64_t number = 0;
    std::memcpy(&number, file_.data() + at_, width);
    at_ += width;
    return number;
  }
  uint64_t take(size_t width) {
    fields_.push_back({at_, width});
    return number(width);
  }
  void string() {
    const uint64_t length = take(8);
    at_ += length;
  }
  void value(uint64_t type) {
    constexpr size_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) return string();
    if (type != 9) return void(take(kWidths[type]));
    const uint64_t element = take(4), count = take(8);
    // Of a long array the first elements stand for all.
    for (uint64_t i = 0; i < count; i++) {
      if (i < 16) {
        value(element);
      } else {
        at_ += element == 8 ? number(8) : kWidths[element];
      }
    }
  }

  const std::string& file_;
  size_t at_ = 0;
  std::vector<Field> fields_;
};

BaseModel gguf_base(const std::filesystem::path& path, bool whole) {
  BaseModel base;
  base.whole = whole;
  base.is_gguf = true;
  base.gguf = read_text(path);
  base.fields = FieldFinder(base.gguf).find();
  return base;
}

BaseModel folder_base(const std::filesystem::path& path, bool whole) {
  BaseModel base;
  base.whole = whole;
  base.folder.config = Literals(read_text(path / "config.json"));
  const std::string weights = read_text(path / "model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, weights.data(), sizeof length);
  base.folder.header = Literals(weights.substr(8, length));
  base.folder.data = weights.substr(8 + length);
  if (whole) base.folder.tokenizer = read_text(path / "tokenizer.json");
  return base;
}

// A decoder of one layer: small, so that thousands a minute are loaded and run.
struct Shape {
  int hidden = 64, vocab = 96, heads = 4, kv_heads = 2, experts = 0, expert_ffn = 32;
};

void add_feed_forward(std::vector<HashedTensor>& tensors, const std::string& layer,
                      const Names& names, const Shape& s) {
  const auto add = [&](std::string_view name, std::vector<int> shape, const char* role) {
    tensors.push_back({layer + std::string(name), std::move(shape), role});
  };
  const auto weight = [](std::string_view name) { return std::string(name) + ".weight"; };
  if (s.experts == 0) {
    add(weight(names.ffn_gate), {s.hidden, s.hidden}, "matrix");
    add(weight(names.ffn_up), {s.hidden, s.hidden}, "matrix");
    add(weight(names.ffn_down), {s.hidden, s.hidden}, "matrix");
    return;
  }
  add(weight(names.router), {s.experts, s.hidden}, "lead");
  add(names.router_bias, {s.experts}, "lead");
  add(weight(names.expert_gate), {s.experts, s.expert_ffn, s.hidden}, "matrix");
  add(weight(names.expert_up), {s.experts, s.expert_ffn, s.hidden}, "matrix");
  add(weight(names.expert_down), {s.experts, s.hidden, s.expert_ffn}, "matrix");
  add(weight(names.shared_gate), {s.expert_ffn, s.hidden}, "matrix");
  add(weight(names.shared_up), {s.expert_ffn, s.hidden}, "matrix");
  add(weight(names.shared_down), {s.hidden, s.expert_ffn}, "matrix");
}

std::vector<HashedTensor> tensors_of(const Names& names, const Shape& s) {
  const int head_dim = s.hidden / s.heads, kv = s.kv_heads * head_dim;
  const std::string layer = std::string(names.layer) + "0.";
  std::vector<HashedTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int> shape, const char* role) {
    tensors.push_back({name, std::move(shape), role});
  };
  const auto in_layer = [&](std::string_view name) { return layer + std::string(name); };
  add(std::string(names.embedding) + ".weight", {s.vocab, s.hidden}, "matrix");
  add(std::string(names.final_norm) + ".weight", {s.hidden}, "norm");
  add(in_layer(names.input_norm) + ".weight", {s.hidden}, "norm");
  add(in_layer(names.post_norm) + ".weight", {s.hidden}, "norm");
  const std::pair<std::string_view, int> parts[] = {
      {names.q, s.hidden}, {names.k, kv}, {names.v, kv}};
  for (const auto& [name, rows] : parts) {
    add(in_layer(name) + ".weight", {rows, s.hidden}, "matrix");
    add(in_layer(name) + ".bias", {rows}, "bias");
  }
  add(in_layer(names.q_norm) + ".weight", {head_dim}, "norm");
  add(in_layer(names.k_norm) + ".weight", {head_dim}, "norm");
  add(in_layer(names.dense) + ".weight", {s.hidden, s.hidden}, "matrix");
  add_feed_forward(tensors, layer, names, s);
  return tensors;
}

BaseModel small_gguf(const std::string& architecture, const Shape& s, const std::string& type) {
  const auto number = [](int n) { return std::to_string(n); };
  std::string metadata = R"({"general.architecture": ")" + architecture + "\"";
  const std::pair<const char*, std::string> values[] = {
      {"block_count", "1"},
      {"context_length", "256"},
      {"embedding_length", number(s.hidden)},
      {"feed_forward_length", number(s.hidden)},
      {"attention.head_count", number(s.heads)},
      {"attention.head_count_kv", number(s.kv_heads)},
      {"attention.layer_norm_rms_epsilon", "0.0001"},
      {"rope.freq_base", "10000.5"},
      {"rope.scaling.type", "\"yarn\""},
      {"rope.scaling.factor", "4.5"},
      {"rope.scaling.original_context_length", "64"},
      {"attention.sliding_window", "32"},
      {"expert_count", number(s.experts)},
      {"expert_used_count", "2"},
      {"expert_feed_forward_length", number(s.expert_ffn)},
      {"expert_shared_count", "1"},
      {"expert_group_count", "4"},
      {"expert_group_used_count", "2"},
      {"expert_weights_scale", "2.5"},
      {"expert_weights_norm", "true"},
      {"expert_gating_func", "2"},
      {"leading_dense_block_count", "0"},
  };
  for (const auto& [key, value] : values) {
    metadata += ", \"" + architecture + "." + key + "\": " + value;
  }
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.gguf";
  write_hashed_gguf(path, Json::parse(metadata + "}"), tensors_of(names_in_gguf(), s), type, "");
  return gguf_base(path, false);
}

BaseModel small_folder(const std::string& type) {
  const std::string config = R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 96,
    "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
    "rope_theta": 10000, "rope_scaling": {"rope_type": "llama3", "factor": 8,
    "original_max_position_embeddings": 64, "low_freq_factor": 1, "high_freq_factor": 4},
    "eos_token_id": [1, 2], "tie_word_embeddings": true, "use_sliding_window": false,
    "num_experts": 0})";
  const TemporaryFolder folder;
  const Names& names = names_in_folder(config_from_json(config, "config.json"));
  write_hashed_folder(folder.path(), config, tensors_of(names, {}), type, "");
  return folder_base(folder.path(), false);
}

}  // namespace

Literals::Literals(const std::string& json) {
  pieces_.emplace_back();
  for (size_t i = 0; i < json.size();) {
    size_t end = i;
    if (json[i] == '"') {
      end = json.find('"', i + 1) + 1;  // none of these files escapes a quotation mark
      const size_t next = json.find_first_not_of(" \n", end);
      if (next != std::string::npos && json[next] == ':') {
        pieces_.back() += json.substr(i, end - i);
        i = end;
        continue;
      }
    } else {
      while (end < json.size() && (std::isalnum(json[end]) || std::strchr("+-.", json[end]))) end++;
    }
    if (end == i) {
      pieces_.back() += json[i++];
      continue;
    }
    pieces_.push_back(json.substr(i, end - i));
    pieces_.emplace_back();
    i = end;
  }
}

std::string Literals::text() const {
  std::string text;
  for (const std::string& piece : pieces_) text += piece;
  return text;
}

void ModelText::write(const std::filesystem::path& folder) const {
  std::string text = header.text();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  const std::string head(reinterpret_cast<const char*>(&length), sizeof length);
  write_file(folder / "config.json", config.text());
  write_file(folder / "model.safetensors", head + text + data);
  if (!tokenizer.empty()) write_file(folder / "tokenizer.json", tokenizer);
}

std::vector<BaseModel> base_models() {
  std::vector<BaseModel> bases;
  bases.push_back(gguf_base(fixtures() / "qwen2-tiny.gguf", true));
  bases.push_back(folder_base(fixtures() / "tiny", true));
  const Shape experts = {.experts = 8}, wide = {.hidden = 256};
  bases.push_back(small_gguf("bailingmoe2", experts, "Q8_0"));
  bases.push_back(small_gguf("qwen2", wide, "Q4_K"));
  bases.push_back(small_folder("INT4_ZERO"));
  bases.push_back(small_folder("FP8_BLOCK"));
  return bases;
}

}  // namespace ringside
