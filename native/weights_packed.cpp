// Matrices that are spread over several tensors: FP8 with scales, and compressed-tensors' int4
// (neuralmagic/compressed-tensors, "float-quantized" and "pack-quantized").
#include <cmath>
#include <cstring>

#include "error.h"
#include "quant.h"
#include "weights.h"

namespace ringside {

namespace {

// Rounds to the nearest. Scales of weights lie far inside what a half holds; `fits` tells.
uint16_t float_to_f16(float x, bool& fits) {
  const uint32_t sign = std::bit_cast<uint32_t>(x) >> 16 & 0x8000;
  const float size = std::abs(x);
  fits = size < 65520.0f && (size == 0 || size >= 0x1p-20f);
  if (!fits) return 0;
  if (size < 0x1p-14f) return uint16_t(sign | uint32_t(std::lrint(size * 0x1p24f)));
  const uint32_t bits = std::bit_cast<uint32_t>(size);
  const uint32_t rounded = bits + 0xfff + (bits >> 13 & 1);
  return uint16_t(sign | ((rounded >> 13) - (112u << 10)));
}

}  // namespace

// Scales: one a row ("weight_scale" [rows, 1]) or one for all ([1]), or one a block
// ("weight_scale_inv"). All multiply.
Matrix Weights::f8_matrix(const std::string& name, const Tensor& tensor, int rows, int cols) {
  Matrix matrix;
  matrix.type = Type::f8;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.data = tensor.bytes.data();
  if (find(name + ".weight_scale_inv") != nullptr) {
    const int block = config_.quantization_block;
    if (block == 0) corrupt(name + " has block scales, and config.json no weight_block_size");
    matrix.block = block;
    const std::string scale_name = name + ".weight_scale_inv";
    const int down = (rows + block - 1) / block, across = (cols + block - 1) / block;
    matrix.scales = floats(scale_name, get(scale_name, {down, across}));
    return matrix;
  }
  const std::string scale_name = name + ".weight_scale";
  const Tensor* scale = find(scale_name);
  if (scale == nullptr) corrupt("tensor " + scale_name + " is missing");
  const bool one = scale->shape.empty() || scale->shape == std::vector<int64_t>{1};
  if (!one && scale->shape != std::vector<int64_t>{rows} &&
      scale->shape != std::vector<int64_t>{rows, 1}) {
    corrupt("tensor " + scale_name + " has shape " + shape_text(scale->shape) + " for " +
            std::to_string(rows) + " rows");
  }
  matrix.scales = floats(scale_name, *scale);
  if (one) {
    const float all = static_cast<const float*>(matrix.scales)[0];
    matrix.scales = converted_.emplace_back(size_t(rows), all).data();
  }
  return matrix;
}

Matrix Weights::int4_matrix(const std::string& name, int rows, int cols) {
  if (cols % kGroup != 0) {
    unsupported(name + " has " + std::to_string(cols) + " columns; int4 needs a multiple of " +
                std::to_string(kGroup));
  }
  if (find(name + ".weight_g_idx") != nullptr) {
    unsupported(name + " has its columns reordered (actorder); quantize the model without that");
  }
  const Tensor* packed = find(name + ".weight_packed");
  if (packed->shape == std::vector<int64_t>{rows, cols / 4}) {
    unsupported(name + " is packed in 8 bits; this engine reads 4");
  }
  get(name + ".weight_packed", {rows, cols / 8});
  const Tensor* scale = find(name + ".weight_scale");
  if (scale == nullptr || scale->shape.size() != 2 || scale->shape[0] != rows ||
      scale->shape[1] < 1 || cols % scale->shape[1] != 0) {
    corrupt("tensor " + name + ".weight_scale is missing or of another shape");
  }
  const int groups = int(scale->shape[1]), group = cols / groups;
  if (group % kGroup != 0) {
    unsupported(name + " has groups of " + std::to_string(group) + " columns; they must be " +
                "multiples of " + std::to_string(kGroup));
  }
  if (packed->dtype != Dtype::i32) unsupported(name + ".weight_packed is " + packed->dtype_name);
  const Tensor& shape = get(name + ".weight_shape", {2});
  int64_t dims[2] = {};
  if (shape.dtype == Dtype::i64) std::memcpy(dims, shape.bytes.data(), sizeof dims);
  if (dims[0] != rows || dims[1] != cols) {
    corrupt(name + ".weight_shape does not say " + shape_text({rows, cols}));
  }

  Matrix matrix;
  matrix.type = Type::int4;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.data = packed->bytes.data();
  matrix.group = group;
  matrix.zeros = zero_points(name, rows, groups);
  if (scale->dtype == Dtype::f16) {
    matrix.scales = scale->bytes.data();
    return matrix;
  }
  if (scale->dtype != Dtype::bf16 && scale->dtype != Dtype::f32) {
    unsupported(name + ".weight_scale is " + scale->dtype_name + "; it must be F16, BF16 or F32");
  }
  std::vector<uint16_t>& halves = halves_.emplace_back(size_t(rows) * size_t(groups));
  for (size_t i = 0; i < halves.size(); i++) {
    float value = 0;
    if (scale->dtype == Dtype::f32) {
      std::memcpy(&value, scale->bytes.data() + 4 * i, 4);
    } else {
      uint16_t bits = 0;
      std::memcpy(&bits, scale->bytes.data() + 2 * i, 2);
      value = bf16_to_float(bits);
    }
    bool fits = true;
    halves[i] = float_to_f16(value, fits);
    if (!fits) unsupported(name + ".weight_scale holds values that a half can't");
  }
  matrix.scales = halves.data();
  return matrix;
}

// Packed along the rows, eight to a word, each + 8 as the weights are. Null where there are none.
const uint8_t* Weights::zero_points(const std::string& name, int rows, int groups) {
  if (find(name + ".weight_zero_point") == nullptr) return nullptr;
  const Tensor& packed = get(name + ".weight_zero_point", {(rows + 7) / 8, groups});
  if (packed.dtype != Dtype::i32) {
    unsupported(name + ".weight_zero_point is " + packed.dtype_name + "; it must be packed I32");
  }
  std::vector<uint8_t>& zeros = zeros_.emplace_back(size_t(rows) * size_t(groups));
  for (int r = 0; r < rows; r++) {
    for (int g = 0; g < groups; g++) {
      uint32_t word = 0;
      std::memcpy(&word, packed.bytes.data() + 4 * (size_t(r / 8) * size_t(groups) + size_t(g)), 4);
      zeros[size_t(r) * size_t(groups) + size_t(g)] = uint8_t(word >> (4 * (r % 8)) & 15);
    }
  }
  return zeros.data();
}

}  // namespace ringside
