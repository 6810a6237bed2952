#include "random_weights.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "families.h"

namespace ringside::bench {

namespace {

// ---- what is written ----

enum class Fill { ones, uniform, nibbles, half_scales, f8, f8_scales, dims, q4_k, q6_k };

struct Piece {
  std::string name, dtype;
  std::vector<int64_t> shape;
  Fill fill = Fill::ones;
  float size = 1;  // the deviation that values are to have
  size_t bytes = 0, width = 1, begin = 0;
};

constexpr size_t kQ4kBytes = 144, kQ6kBytes = 210, kSuper = 256;
constexpr float kNibbleDeviation = 4.32f;  // of -7 .. 7
constexpr float kF8Deviation = 0.844f;     // of the codes below
constexpr float kQ4kDeviation = 258;       // of scale * q - 7.5 * minimum, whose mean is 0
constexpr float kQ6kDeviation = 1367;      // of scale * (q - 32)

// The tensors of a model, by the names that its family has in a folder or in GGUF.
class Tensors {
 public:
  Tensors(const Config& config, Stored stored)
      : c_(config),
        n_(stored == Stored::q4_k ? names_in_gguf() : names_in_folder(config)),
        stored_(stored) {
    matrix(std::string(n_.embedding), c_.vocab_size, c_.hidden_size, 1.0f);
    ones(std::string(n_.final_norm) + ".weight", {c_.hidden_size});
    if (!c_.tie_word_embeddings.value_or(false)) {
      matrix(std::string(n_.head), c_.vocab_size, c_.hidden_size);
    }
    for (int l = 0; l < c_.num_hidden_layers; l++) layer(l);
  }
  std::vector<Piece> take() { return std::move(pieces_); }

 private:
  void put(const std::string& name, const std::string& dtype, std::vector<int64_t> shape, Fill fill,
           float size, size_t width, size_t bytes) {
    pieces_.push_back({name, dtype, std::move(shape), fill, size, bytes, width, 0});
  }
  void floats(const std::string& name, std::vector<int64_t> shape, Fill fill, float size) {
    size_t count = 1;
    for (const int64_t dim : shape) count *= size_t(dim);
    put(name, "F32", std::move(shape), fill, size, 4, 4 * count);
  }
  void ones(const std::string& name, std::vector<int64_t> shape) {
    floats(name, std::move(shape), Fill::ones, 1);
  }

  // size 0: such that the product has the size of its input.
  void matrix(const std::string& name, int64_t rows, int64_t cols, float size = 0) {
    if (size == 0) size = 1 / std::sqrt(float(cols));
    const size_t count = size_t(rows) * size_t(cols);
    if (stored_ == Stored::q4_k) {
      const bool head = name == n_.head;  // as converters do: in six bits
      return put(name + ".weight", head ? "Q6_K" : "Q4_K", {rows, cols},
                 head ? Fill::q6_k : Fill::q4_k, size, 1,
                 count / kSuper * (head ? kQ6kBytes : kQ4kBytes));
    }
    if (stored_ == Stored::f8) {
      put(name + ".weight", "F8_E4M3", {rows, cols}, Fill::f8, size, 1, count);
      return floats(name + ".weight_scale", {rows, 1}, Fill::f8_scales, size / kF8Deviation);
    }
    const int64_t group = stored_ == Stored::int4_by_32 ? 32 : 128;
    put(name + ".weight_packed", "I32", {rows, cols / 8}, Fill::nibbles, 1, 4, count / 2);
    put(name + ".weight_scale", "F16", {rows, cols / group}, Fill::half_scales,
        size / kNibbleDeviation, 2, count / size_t(group) * 2);
    put(name + ".weight_shape", "I64", {2}, Fill::dims, 1, 8, 16);
    dims_.push_back({rows, cols});
  }

  void layer(int l) {
    const std::string p = std::string(n_.layer) + std::to_string(l) + ".";
    const auto named = [&](std::string_view name) { return p + std::string(name); };
    const int64_t dim = c_.attention_dim(), kv = int64_t(c_.kv_heads(l)) * c_.head_dim;
    ones(named(n_.input_norm) + ".weight", {c_.hidden_size});
    ones(named(n_.post_norm) + ".weight", {c_.hidden_size});
    if (n_.q.empty()) {
      matrix(named(n_.qkv), dim + 2 * kv, c_.hidden_size);
    } else {
      for (const auto& [name, rows] : {std::pair(n_.q, dim), {n_.k, kv}, {n_.v, kv}}) {
        matrix(named(name), rows, c_.hidden_size);
        if (c_.qkv_bias) floats(named(name) + ".bias", {rows}, Fill::uniform, 0.1f);
      }
    }
    matrix(named(n_.dense), c_.hidden_size, dim);
    if (c_.qk_norm) {
      ones(named(n_.q_norm) + ".weight", {c_.head_dim});
      ones(named(n_.k_norm) + ".weight", {c_.head_dim});
    }
    if (c_.is_lightning(l)) {
      matrix(named(n_.gate), dim, c_.hidden_size);
      ones(named(n_.gate_norm) + ".weight", {dim});
    }
    if (!c_.has_experts(l)) {
      return feed_forward(named(n_.ffn_gate), named(n_.ffn_up), named(n_.ffn_down),
                          c_.intermediate_size);
    }
    const float each = 1 / std::sqrt(float(c_.hidden_size));
    floats(named(n_.router) + ".weight", {c_.num_experts, c_.hidden_size}, Fill::uniform, each);
    if (!n_.router_bias.empty()) {
      floats(named(n_.router_bias), {c_.num_experts}, Fill::uniform, 0.02f);
    }
    for (int e = 0; e < c_.num_experts; e++) {
      const std::string one = named(n_.experts) + std::to_string(e) + ".";
      feed_forward(one + std::string(n_.expert_gate), one + std::string(n_.expert_up),
                   one + std::string(n_.expert_down), c_.moe_intermediate_size);
    }
    feed_forward(named(n_.shared_gate), named(n_.shared_up), named(n_.shared_down),
                 c_.shared_intermediate_size);
  }

  void feed_forward(const std::string& gate, const std::string& up, const std::string& down,
                    int64_t hidden) {
    matrix(gate, hidden, c_.hidden_size);
    matrix(up, hidden, c_.hidden_size);
    matrix(down, c_.hidden_size, hidden);
  }

  const Config& c_;
  const Names& n_;
  Stored stored_;
  std::vector<Piece> pieces_;

 public:
  std::vector<std::pair<int64_t, int64_t>> dims_;  // of the int4 matrices, in order
};

// ---- random bytes ----

struct Random {
  uint64_t state;
  uint64_t operator()() {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
};

// To the nearest, subnormals too. Of what has a half near it.
uint16_t to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000;
  const float size = std::abs(value);
  if (size < 0x1p-14f) return uint16_t(sign | uint32_t(std::lrint(size * 0x1p24f)));
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
  return uint16_t(sign | ((rounded >> 13) - (112u << 10)));
}

// Of eight bytes at once: nibbles that are 0 (the value -8) become 8 (0), so that the mean is 0.
uint64_t balanced(uint64_t x) {
  uint64_t any = x | x >> 1;
  any = (any | any >> 2) & 0x1111111111111111u;
  return x | (~any & 0x1111111111111111u) << 3;
}

// 0.8125, 0.9375, 1.0625 or 1.1875.
float spread(uint64_t bits) { return 0.8125f + float(bits & 3) / 8; }

template <typename T>
void store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

template <typename Make>
void words(char* at, size_t bytes, Random& random, Make make) {
  for (size_t i = 0; i < bytes; i += 8) {
    const uint64_t value = make(random());
    std::memcpy(at + i, &value, std::min<size_t>(8, bytes - i));
  }
}

void blocks(char* at, size_t bytes, Random& random, size_t block, float d, bool minimum) {
  words(at, bytes, random, [](uint64_t x) { return x; });
  for (size_t i = 0; i < bytes; i += block) {
    const float scale = d * spread(random());
    store(at + i + (minimum ? 0 : block - 2), to_half(scale));
    if (minimum) store(at + i + 2, to_half(7.5f * scale));
  }
}

// `bytes` of a piece, from a whole unit on.
void fill(char* at, size_t bytes, const Piece& piece, Random random) {
  const auto each = [&](size_t width, auto make) {
    for (size_t i = 0; i < bytes; i += width) store(at + i, make(random()));
  };
  const float size = piece.size;
  switch (piece.fill) {
    case Fill::ones:
      return each(4, [](uint64_t) { return 1.0f; });
    case Fill::uniform:
      return each(4, [&](uint64_t x) { return float(int32_t(x)) * 0x1p-31f * 1.732f * size; });
    case Fill::nibbles:
      return words(at, bytes, random, balanced);
    case Fill::half_scales:
      return each(2, [&](uint64_t x) { return to_half(size * spread(x)); });
    case Fill::f8_scales:
      return each(4, [&](uint64_t x) { return size * spread(x); });
    case Fill::f8:  // exponents of 4 .. 7
      return words(at, bytes, random,
                   [](uint64_t x) { return (x & 0x9f9f9f9f9f9f9f9fu) | 0x2020202020202020u; });
    case Fill::q4_k:
      return blocks(at, bytes, random, kQ4kBytes, size / kQ4kDeviation, true);
    case Fill::q6_k:
      return blocks(at, bytes, random, kQ6kBytes, size / kQ6kDeviation, false);
    case Fill::dims:
      return;  // written by itself
  }
}

size_t unit_of(const Piece& piece) {
  return piece.fill == Fill::q4_k ? kQ4kBytes : piece.fill == Fill::q6_k ? kQ6kBytes : 64;
}

// ---- files ----

template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string safetensors_head(std::vector<Piece>& pieces) {
  std::stable_sort(pieces.begin(), pieces.end(),  // wide types first: each is aligned
                   [](const Piece& a, const Piece& b) { return a.width > b.width; });
  std::string head = "{";
  size_t at = 0;
  for (Piece& piece : pieces) {
    std::string dims;
    for (const int64_t dim : piece.shape) dims += (dims.empty() ? "" : ",") + std::to_string(dim);
    head += std::string(head.size() == 1 ? "" : ",") + "\"" + piece.name + "\":{\"dtype\":\"" +
            piece.dtype + "\",\"shape\":[" + dims + "],\"data_offsets\":[" + std::to_string(at);
    piece.begin = at;
    at += piece.bytes;
    head += "," + std::to_string(at) + "]}";
  }
  head += "}";
  head.append((8 - head.size() % 8) % 8, ' ');
  return bytes_of(uint64_t(head.size())) + head;
}

std::string gguf_head(std::vector<Piece>& pieces, const Config& c) {
  constexpr size_t kAlignment = 32;
  const auto text = [](const std::string& t) { return bytes_of(uint64_t(t.size())) + t; };
  std::string values;
  uint64_t count = 0;
  const auto put = [&](const std::string& key, uint32_t type, const std::string& value) {
    values += text(key) + bytes_of(type) + value;
    count++;
  };
  const auto whole = [&](const std::string& key, int value) {
    put("qwen2." + key, 4, bytes_of(uint32_t(value)));
  };
  put("general.architecture", 8, text("qwen2"));
  whole("embedding_length", c.hidden_size);
  whole("block_count", c.num_hidden_layers);
  whole("context_length", c.max_position_embeddings);
  whole("attention.head_count", c.num_attention_heads);
  whole("attention.head_count_kv", c.num_key_value_heads);
  whole("feed_forward_length", c.intermediate_size);
  put("qwen2.attention.layer_norm_rms_epsilon", 6, bytes_of(c.norm_eps));
  put("qwen2.rope.freq_base", 6, bytes_of(c.rope_theta));
  std::string head =
      "GGUF" + bytes_of(uint32_t(3)) + bytes_of(uint64_t(pieces.size())) + bytes_of(count) + values;
  size_t at = 0;
  for (Piece& piece : pieces) {
    const uint32_t type = piece.dtype == "Q4_K" ? 12 : piece.dtype == "Q6_K" ? 14 : 0;
    head += text(piece.name) + bytes_of(uint32_t(piece.shape.size()));
    for (auto dim = piece.shape.rbegin(); dim != piece.shape.rend(); ++dim) {
      head += bytes_of(uint64_t(*dim));
    }
    head += bytes_of(type) + bytes_of(uint64_t(at));
    piece.begin = at;
    at += (piece.bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  head.append((kAlignment - head.size() % kAlignment) % kAlignment, '\0');
  return head;
}

// A file of a size, mapped to be written.
class Output {
 public:
  Output(const std::filesystem::path& path, size_t bytes) : bytes_(bytes) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) throw std::runtime_error("can't write " + path.string());
    const int error = ::posix_fallocate(file, 0, off_t(bytes));
    if (error == 0) {
      data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    ::close(file);
    if (error != 0 || data_ == MAP_FAILED) {
      throw std::runtime_error("there is no room for " + std::to_string(bytes >> 20) + " MiB in " +
                               path.parent_path().string() + "; name another folder (--folder)");
    }
  }
  ~Output() { ::munmap(data_, bytes_); }
  Output(const Output&) = delete;  // owns the mapping
  char* data() const { return static_cast<char*>(data_); }

 private:
  void* data_ = MAP_FAILED;
  size_t bytes_;
};

void fill_all(char* data, const std::vector<Piece>& pieces) {
  struct Task {
    const Piece* piece;
    size_t begin, bytes;
  };
  std::vector<Task> tasks;
  for (const Piece& piece : pieces) {
    const size_t step = unit_of(piece) << 16;  // some megabytes
    for (size_t at = 0; at < piece.bytes; at += step) {
      tasks.push_back({&piece, at, std::min(step, piece.bytes - at)});
    }
  }
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < tasks.size(); i = next++) {
      const Task& task = tasks[i];
      fill(data + task.piece->begin + task.begin, task.bytes, *task.piece, Random{i * 7919});
    }
  };
  std::vector<std::thread> others(std::max(1u, std::thread::hardware_concurrency()) - 1);
  for (std::thread& other : others) other = std::thread(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace

size_t write_weights(const std::filesystem::path& path, const Config& config, Stored stored) {
  Tensors tensors(config, stored);
  const auto dims = tensors.dims_;
  std::vector<Piece> pieces = tensors.take();
  const std::string head =
      stored == Stored::q4_k ? gguf_head(pieces, config) : safetensors_head(pieces);
  size_t size = head.size();
  for (const Piece& piece : pieces) size = std::max(size, head.size() + piece.begin + piece.bytes);
  const Output output(path, size);
  std::memcpy(output.data(), head.data(), head.size());
  fill_all(output.data() + head.size(), pieces);
  size_t matrix = 0;
  for (const Piece& piece : pieces) {
    if (piece.fill != Fill::dims) continue;
    store(output.data() + head.size() + piece.begin, dims[matrix].first);
    store(output.data() + head.size() + piece.begin + 8, dims[matrix++].second);
  }
  return size;
}

}  // namespace ringside::bench
