#include "weights.h"

#include <cstring>

#include "error.h"
#include "quant.h"

namespace ringside {

size_t data_bytes(const Matrix& matrix) {
  if (matrix.data == nullptr) return 0;
  return size_t(row_bytes(matrix.type, matrix.cols)) * size_t(matrix.rows);
}

size_t scale_bytes(const Matrix& matrix) {
  if (matrix.scales == nullptr) return 0;
  const auto rows = size_t(matrix.rows), cols = size_t(matrix.cols);
  if (matrix.type == Type::int4) return rows * (cols / size_t(matrix.group)) * sizeof(uint16_t);
  if (matrix.block == 0) return rows * sizeof(float);
  const auto block = size_t(matrix.block);
  return (rows + block - 1) / block * ((cols + block - 1) / block) * sizeof(float);
}

size_t Weights::owned_bytes() const {
  const auto sum = [](const auto& all) {
    size_t bytes = 0;
    for (const auto& values : all) bytes += values.size() * sizeof values[0];
    return bytes;
  };
  return sum(converted_) + sum(halves_) + sum(zeros_);
}

Weights::Weights(const ModelFiles& files, const std::function<void(float)>& on_progress)
    : config_(files.config()),
      names_(files.names()),
      tensors_(files.tensors()),
      where_(files.where()) {
  const Config& c = config_;
  embedding = matrix(std::string(names_.embedding), c.vocab_size, c.hidden_size);
  const std::string head_name(names_.head);
  const bool has_head = find(head_name + ".weight") || find(head_name + ".weight_packed");
  head = c.tie_word_embeddings.value_or(!has_head) ? embedding
                                                   : matrix(head_name, c.vocab_size, c.hidden_size);
  final_norm = norm(std::string(names_.final_norm), c.hidden_size);

  const float* factors = optional_vector("rope_freqs.weight", {c.rotary_dim / 2});
  rope.interleaved = c.rope_interleaved;
  rope.dim = c.rotary_dim;
  rope.frequency = converted_.emplace_back(rope_frequencies(c, factors, rope.scale)).data();

  layers.reserve(size_t(c.num_hidden_layers));
  for (int l = 0; l < c.num_hidden_layers; l++) {
    layers.push_back(layer(l));
    on_progress(float(l + 1) / float(c.num_hidden_layers));
  }
}

Layer Weights::layer(int index) {
  const Config& c = config_;
  const std::string prefix = std::string(names_.layer) + std::to_string(index) + ".";
  const auto named = [&](std::string_view name) { return prefix + std::string(name); };
  Layer layer;
  layer.lightning = c.is_lightning(index);
  layer.input_norm = norm(named(names_.input_norm), c.hidden_size);
  layer.post_norm = norm(named(names_.post_norm), c.hidden_size);
  add_attention(layer, prefix, index);
  if (c.has_experts(index)) {
    add_experts(layer, prefix);
    return layer;
  }
  layer.ffn_hidden = c.intermediate_size;
  layer.ffn = feed_forward(c.gelu ? "" : named(names_.ffn_gate), named(names_.ffn_up),
                           named(names_.ffn_down), layer.ffn_hidden);
  return layer;
}

void Weights::add_attention(Layer& layer, const std::string& prefix, int index) {
  const Config& c = config_;
  const auto named = [&](std::string_view name) { return prefix + std::string(name); };
  const int dim = c.attention_dim(), kv_dim = c.kv_heads(index) * c.head_dim;
  layer.qkv_rows = dim + 2 * kv_dim;
  const std::string fused = named(names_.qkv);
  if (!names_.qkv.empty() && (names_.q.empty() || find(fused + ".weight"))) {
    layer.qkv = {matrix(fused, layer.qkv_rows, c.hidden_size)};
  } else {
    layer.qkv = {matrix(named(names_.q), dim, c.hidden_size),
                 matrix(named(names_.k), kv_dim, c.hidden_size),
                 matrix(named(names_.v), kv_dim, c.hidden_size)};
  }
  for (const Matrix& part : layer.qkv) {
    if (c.qkv_bias && part.bias == nullptr)
      corrupt("layer " + prefix + " lacks the bias of q, k or v");
  }
  if (c.qk_norm) {
    layer.q_norm = vector(named(names_.q_norm) + ".weight", {c.head_dim});
    layer.k_norm = vector(named(names_.k_norm) + ".weight", {c.head_dim});
  }
  layer.dense = matrix(named(names_.dense), c.hidden_size, dim);
  if (!layer.lightning) return;
  layer.gate = matrix(named(names_.gate), dim, c.hidden_size);
  layer.gate_norm = vector(named(names_.gate_norm) + ".weight", {dim});
}

void Weights::add_experts(Layer& layer, const std::string& prefix) {
  const Config& c = config_;
  const auto named = [&](std::string_view name) { return prefix + std::string(name); };
  const auto n_features = int(c.syntax_features.size());
  Router& router = layer.router;
  router.w = vector(named(names_.router) + ".weight", {c.num_experts, c.hidden_size});
  if (!names_.router_bias.empty()) {
    router.bias = optional_vector(named(names_.router_bias), {c.num_experts});
  }
  if (n_features > 0) {
    router.syntax = vector(named(names_.router_syntax), {c.num_experts, n_features});
  }
  router.n_experts = c.num_experts;
  router.n_features = n_features;
  router.dim = c.hidden_size;
  router.top_k = c.num_experts_per_tok;
  router.n_group = c.n_group;
  router.topk_group = c.topk_group;
  router.scale = c.routed_scaling_factor;
  router.softmax = c.softmax_router;
  router.normalized = c.norm_topk_prob;

  const int64_t before = counts.total;
  if (names_.experts.empty()) {
    add_stacked_experts(layer, prefix);
  } else {
    for (int e = 0; e < c.num_experts; e++) {
      const std::string expert = named(names_.experts) + std::to_string(e) + ".";
      layer.experts.push_back(feed_forward(
          expert + std::string(names_.expert_gate), expert + std::string(names_.expert_up),
          expert + std::string(names_.expert_down), c.moe_intermediate_size));
    }
  }
  counts.routed += counts.total - before;
  layer.ffn_hidden = c.shared_intermediate_size;
  if (layer.ffn_hidden == 0) return;
  const int64_t unshared = counts.total;
  layer.ffn = feed_forward(named(names_.shared_gate), named(names_.shared_up),
                           named(names_.shared_down), layer.ffn_hidden);
  counts.shared += counts.total - unshared;
}

// GGUF: one tensor [experts, rows, cols] for each of the three.
void Weights::add_stacked_experts(Layer& layer, const std::string& prefix) {
  const Config& c = config_;
  layer.experts.resize(size_t(c.num_experts));
  const auto add = [&](std::string_view role, int rows, int cols, Matrix FeedForward::*part) {
    const std::string name = prefix + std::string(role) + ".weight";
    const Tensor& stack = get(name, {c.num_experts, rows, cols});
    counts.total += int64_t(c.num_experts) * rows * cols;
    const size_t each = stack.bytes.size() / size_t(c.num_experts);
    for (int e = 0; e < c.num_experts; e++) {
      Tensor one = stack;
      one.bytes = stack.bytes.subspan(size_t(e) * each, each);
      layer.experts[size_t(e)].*part = stored_matrix(name, one, rows, cols);
    }
  };
  add(names_.expert_gate, c.moe_intermediate_size, c.hidden_size, &FeedForward::gate);
  add(names_.expert_up, c.moe_intermediate_size, c.hidden_size, &FeedForward::up);
  add(names_.expert_down, c.hidden_size, c.moe_intermediate_size, &FeedForward::down);
}

FeedForward Weights::feed_forward(const std::string& gate, const std::string& up,
                                  const std::string& down, int hidden) {
  FeedForward ffn;
  if (!gate.empty()) ffn.gate = matrix(gate, hidden, config_.hidden_size);
  ffn.up = matrix(up, hidden, config_.hidden_size);
  ffn.down = matrix(down, config_.hidden_size, hidden);
  return ffn;
}

Norm Weights::norm(const std::string& name, int size) {
  return {vector(name + ".weight", {size}),
          config_.layer_norm ? vector(name + ".bias", {size}) : nullptr};
}

Matrix Weights::matrix(const std::string& name, int rows, int cols) {
  counts.total += int64_t(rows) * cols;
  Matrix matrix;
  if (find(name + ".weight_packed") != nullptr) {
    matrix = int4_matrix(name, rows, cols);
  } else {
    const Tensor& tensor = get(name + ".weight", {rows, cols});
    matrix = tensor.dtype == Dtype::f8_e4m3 ? f8_matrix(name, tensor, rows, cols)
                                            : stored_matrix(name + ".weight", tensor, rows, cols);
  }
  matrix.bias = optional_vector(name + ".bias", {rows});
  return matrix;
}

// Of a type that needs nothing beside the tensor itself.
Matrix Weights::stored_matrix(const std::string& name, const Tensor& tensor, int rows,
                              int cols) const {
  struct Row {
    Dtype dtype;
    Type type;
  };
  constexpr Row kStored[] = {
      {Dtype::f32, Type::f32},   {Dtype::f16, Type::f16},   {Dtype::bf16, Type::bf16},
      {Dtype::q8_0, Type::q8_0}, {Dtype::q4_0, Type::q4_0}, {Dtype::q4_1, Type::q4_1},
      {Dtype::q5_0, Type::q5_0}, {Dtype::q5_1, Type::q5_1}, {Dtype::q4_k, Type::q4_k},
      {Dtype::q5_k, Type::q5_k}, {Dtype::q6_k, Type::q6_k},
  };
  for (const Row& row : kStored) {
    if (row.dtype != tensor.dtype) continue;
    Matrix matrix;
    matrix.type = row.type;
    matrix.rows = rows;
    matrix.cols = cols;
    matrix.data = tensor.bytes.data();
    return matrix;
  }
  unsupported("tensor " + name + " is " + tensor.dtype_name +
              "; this engine computes with F32, F16, BF16, FP8 (E4M3), packed int4, Q8_0, Q4_0, "
              "Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K. Choose the model in one of these");
}

const float* Weights::vector(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor& tensor = get(name, shape);
  int64_t size = 1;
  for (const int64_t dim : shape) size *= dim;
  counts.total += size;
  return floats(name, tensor);
}

const float* Weights::optional_vector(const std::string& name, const std::vector<int64_t>& shape) {
  return find(name) == nullptr ? nullptr : vector(name, shape);
}

const float* Weights::floats(const std::string& name, const Tensor& tensor) {
  if (tensor.dtype == Dtype::f32) return reinterpret_cast<const float*>(tensor.bytes.data());
  if (tensor.dtype != Dtype::f16 && tensor.dtype != Dtype::bf16) {
    unsupported("tensor " + name + " is " + tensor.dtype_name + "; it must be F32, F16 or BF16");
  }
  std::vector<float>& values = converted_.emplace_back(tensor.bytes.size() / 2);
  for (size_t i = 0; i < values.size(); i++) {
    uint16_t bits = 0;
    std::memcpy(&bits, tensor.bytes.data() + 2 * i, 2);
    values[i] = tensor.dtype == Dtype::f16 ? f16_to_float(bits) : bf16_to_float(bits);
  }
  return values.data();
}

const Tensor* Weights::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const Tensor& Weights::get(const std::string& name, const std::vector<int64_t>& shape) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) corrupt("tensor " + name + " is missing");
  if (tensor->shape != shape) {
    corrupt("tensor " + name + " has shape " + shape_text(tensor->shape) +
            ", and the configuration asks for " + shape_text(shape));
  }
  return *tensor;
}

void Weights::corrupt(const std::string& what) const {
  throw EngineError(ErrorCode::model_corrupt, where_ + ": " + what +
                                                  ". Download or export the model again, or "
                                                  "choose another one.");
}

void Weights::unsupported(const std::string& what) const {
  throw EngineError(ErrorCode::model_unsupported, where_ + ": " + what + ".");
}

}  // namespace ringside
