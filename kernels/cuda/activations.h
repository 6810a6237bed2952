// Activations in the forms in which they meet weights, rounded exactly as kernels/quant.h does.
#pragma once

#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

// From row `first` on: the same forms, n - first rows.
__host__ __device__ inline Activations from_row(const Activations& x, int64_t first) {
  Activations rest = x;
  if (x.f32 != nullptr) rest.f32 = x.f32 + first * x.cols;
  if (x.q != nullptr) rest.q = x.q + first * x.cols;
  if (x.groups != nullptr) rest.groups = x.groups + first * (x.cols / kGroup);
  if (x.bf16 != nullptr) rest.bf16 = x.bf16 + first * x.cols;
  return rest;
}

// Activations as they meet a matrix of floats of this type.
__device__ inline float activation_at(Type type, const Activations& x, int64_t at) {
  const bool narrow = type == Type::f8 || type == Type::bf16;
  return narrow ? bf16_bits_to_float(x.bf16[at]) : x.f32[at];
}

__device__ inline float silu_of(float x) { return x / (1.0f + expf(-x)); }

// What a group whose largest magnitude is `top` is divided by, and the factor that does it.
struct GroupScale {
  float scale, inverse;
};
__device__ inline GroupScale group_scale_of(float top) {
  const float scale = top / 127.0f;
  return {scale, scale == 0.0f ? 0.0f : 1.0f / scale};
}

// Of magnitudes, as their bits: those of NaN are the largest, where fmaxf would lose it.
__device__ inline uint32_t magnitude_bits(float x) { return float_to_bits(x) & 0x7fffffffu; }
__device__ inline uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

__device__ inline int8_t rounded(float x, float inverse) { return int8_t(int(rintf(x * inverse))); }

// The forms of 32 neighbouring values of a row, a lane each: `column` is the lane's own. The whole
// warp calls it.
__device__ inline void store_forms(const Activations& to, unsigned forms, int row, int column,
                                   float value) {
  const bool inside = column < to.cols;
  const int64_t at = int64_t(row) * to.cols + column;
  if ((forms & kBf16) != 0 && inside) to.bf16[at] = float_to_bf16_bits(value);
  if ((forms & kIntegers) == 0) return;
  uint32_t top = magnitude_bits(value);
  for (int mask = kWarp / 2; mask > 0; mask /= 2) top = larger(top, shuffle_xor(top, mask));
  const GroupScale group = group_scale_of(bits_to_float(top));
  const int8_t q = rounded(value, group.inverse);
  const float sum = group.scale * warp_sum(float(int(q)));  // at most 32 * 127: exact
  if (!inside) return;
  to.q[at] = q;
  if (column % kGroup == 0) to.groups[at / kGroup] = make_float2(group.scale, sum);
}

}  // namespace ringside::cuda
