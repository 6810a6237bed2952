#include "weights.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "error.h"

namespace ringside {

namespace {

float from_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

float from_f16(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  float value = exponent == 0 ? std::ldexp(float(fraction), -24)
                              : std::ldexp(float(fraction + 1024), exponent - 25);
  if (exponent == 31) value = fraction == 0 ? INFINITY : NAN;
  return (bits & 0x8000) ? -value : value;
}

}  // namespace

Weights::Weights(const Config& config, const Tensors& tensors, const std::string& where,
                 const std::function<void(float)>& on_progress)
    : config_(config), tensors_(tensors), where_(where) {
  embedding = matrix("model.word_embeddings", config.vocab_size, config.hidden_size);
  final_norm = vector("model.norm.weight", {config.hidden_size});
  layers.reserve(size_t(config.num_hidden_layers));
  for (int l = 0; l < config.num_hidden_layers; l++) {
    layers.push_back(layer(l));
    on_progress(float(l + 1) / float(config.num_hidden_layers));
  }
}

Layer Weights::layer(int index) {
  const Config& c = config_;
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::string attention = prefix + "attention.";
  const int dim = c.num_attention_heads * c.head_dim;

  Layer layer;
  layer.lightning = c.is_lightning(index);
  layer.input_norm = vector(prefix + "input_layernorm.weight", {c.hidden_size});
  layer.qkv = matrix(attention + "query_key_value", dim + 2 * c.kv_heads(index) * c.head_dim,
                     c.hidden_size);
  layer.q_norm = vector(attention + "query_layernorm.weight", {c.head_dim});
  layer.k_norm = vector(attention + "key_layernorm.weight", {c.head_dim});
  layer.dense = matrix(attention + "dense", c.hidden_size, dim);
  if (layer.lightning) {
    layer.gate = matrix(attention + "g_proj", dim, c.hidden_size);
    layer.gate_norm = vector(attention + "g_norm.weight", {dim});
  }
  layer.post_norm = vector(prefix + "post_attention_layernorm.weight", {c.hidden_size});
  if (c.has_experts(index)) {
    add_experts(layer, prefix + "mlp.");
  } else {
    layer.ffn_hidden = c.intermediate_size;
    layer.ffn = feed_forward(prefix + "mlp.", layer.ffn_hidden);
  }
  return layer;
}

void Weights::add_experts(Layer& layer, const std::string& prefix) {
  const Config& c = config_;
  const auto n_features = int(c.syntax_features.size());
  layer.router.w = vector(prefix + "gate.weight", {c.num_experts, c.hidden_size});
  if (find(prefix + "gate.expert_bias") != nullptr) {
    layer.router.bias = vector(prefix + "gate.expert_bias", {c.num_experts});
  }
  if (n_features > 0) {
    layer.router.syntax = vector(prefix + "gate.syntax", {c.num_experts, n_features});
  }
  layer.router.n_experts = c.num_experts;
  layer.router.n_features = n_features;
  layer.router.dim = c.hidden_size;
  layer.router.top_k = c.num_experts_per_tok;
  layer.router.n_group = c.n_group;
  layer.router.topk_group = c.topk_group;
  layer.router.scale = c.routed_scaling_factor;

  const int64_t before = counts.total;
  for (int e = 0; e < c.num_experts; e++) {
    layer.experts.push_back(
        feed_forward(prefix + "experts." + std::to_string(e) + ".", c.moe_intermediate_size));
  }
  counts.routed += counts.total - before;
  layer.ffn_hidden = c.num_shared_experts * c.moe_intermediate_size;
  if (layer.ffn_hidden > 0) {
    const int64_t unshared = counts.total;
    layer.ffn = feed_forward(prefix + "shared_experts.", layer.ffn_hidden);
    counts.shared += counts.total - unshared;
  }
}

FeedForward Weights::feed_forward(const std::string& prefix, int hidden) {
  return {matrix(prefix + "gate_proj", hidden, config_.hidden_size),
          matrix(prefix + "up_proj", hidden, config_.hidden_size),
          matrix(prefix + "down_proj", config_.hidden_size, hidden)};
}

Matrix Weights::matrix(const std::string& name, int rows, int cols) {
  counts.total += int64_t(rows) * cols;
  if (find(name + ".weight_packed") != nullptr) return int4_matrix(name, rows, cols);

  const Tensor& weight = get(name + ".weight", {rows, cols});
  Matrix matrix{Type::f32, rows, cols, weight.bytes.data(), nullptr};
  switch (weight.dtype) {
    case Dtype::f32:
      break;
    case Dtype::f16:
      matrix.type = Type::f16;
      break;
    case Dtype::bf16:
      matrix.type = Type::bf16;
      break;
    case Dtype::f8_e4m3: {
      const Tensor& scale = get(name + ".weight_scale", {rows, 1});
      if (scale.dtype != Dtype::f32) {
        unsupported(name + ".weight_scale is " + scale.dtype_name + "; FP8 scales must be F32");
      }
      matrix.type = Type::f8;
      matrix.scales = scale.bytes.data();
      break;
    }
    default:
      unsupported(name + ".weight is " + weight.dtype_name +
                  "; a matrix must be F32, F16, BF16, F8_E4M3 or packed int4");
  }
  return matrix;
}

Matrix Weights::int4_matrix(const std::string& name, int rows, int cols) {
  if (cols % kGroup != 0) {
    unsupported(name + " has " + std::to_string(cols) + " columns; int4 needs a multiple of " +
                std::to_string(kGroup));
  }
  if (find(name + ".weight_zero_point") != nullptr) {
    unsupported(name + " is quantized asymmetrically; int4 must be symmetric");
  }
  const Tensor& packed = get(name + ".weight_packed", {rows, cols / 8});
  const Tensor& scale = get(name + ".weight_scale", {rows, cols / kGroup});
  if (packed.dtype != Dtype::i32 || scale.dtype != Dtype::f16) {
    unsupported(name + " is " + packed.dtype_name + " with scales of " + scale.dtype_name +
                "; int4 must be I32 with scales of F16");
  }
  const Tensor& shape = get(name + ".weight_shape", {2});
  int64_t dims[2] = {};
  if (shape.dtype == Dtype::i64) std::memcpy(dims, shape.bytes.data(), sizeof dims);
  if (dims[0] != rows || dims[1] != cols) {
    corrupt(name + ".weight_shape does not say " + shape_text({rows, cols}));
  }
  return {Type::int4, rows, cols, packed.bytes.data(), scale.bytes.data()};
}

const float* Weights::vector(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor& tensor = get(name, shape);
  size_t size = 1;
  for (const int64_t dim : shape) size *= size_t(dim);
  counts.total += int64_t(size);
  if (tensor.dtype == Dtype::f32) return reinterpret_cast<const float*>(tensor.bytes.data());
  if (tensor.dtype != Dtype::f16 && tensor.dtype != Dtype::bf16) {
    unsupported(name + " is " + tensor.dtype_name + "; it must be F32, F16 or BF16");
  }
  std::vector<float>& values = converted_.emplace_back(size);
  for (size_t i = 0; i < size; i++) {
    uint16_t bits = 0;
    std::memcpy(&bits, tensor.bytes.data() + 2 * i, 2);
    values[i] = tensor.dtype == Dtype::f16 ? from_f16(bits) : from_bf16(bits);
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
            ", and config.json asks for " + shape_text(shape));
  }
  return *tensor;
}

void Weights::corrupt(const std::string& what) const {
  throw EngineError(ErrorCode::model_corrupt,
                    where_ + ": " + what + ". Export the model again, or choose another one.");
}

void Weights::unsupported(const std::string& what) const {
  throw EngineError(ErrorCode::model_unsupported,
                    where_ + ": " + what + ". Quantize the model with `ringside quantize`.");
}

}  // namespace ringside
