// The values of a KvCache: floats, or the bits of float16. Kernels that read many are made for each
// (`Value`: float or uint16_t); those that write a few ask for each.
#pragma once

#include "../backend.h"
#include "products.h"

namespace ringside::cuda {

__device__ inline float widened(float x) { return x; }
__device__ inline float widened(uint16_t bits) { return half_bits_to_float(bits); }

// Rounded as KvCache says.
__device__ inline uint16_t narrowed(float x) {
  constexpr float kMost = 65504.0f;
  const float size = fabsf(x);
  return float_to_half_bits(size > kMost && size < INFINITY ? copysignf(kMost, x) : x);
}

__device__ inline void put(void* values, Type type, int64_t i, float x) {
  if (type == Type::f16) {
    static_cast<uint16_t*>(values)[i] = narrowed(x);
  } else {
    static_cast<float*>(values)[i] = x;
  }
}

// Two neighbours, aligned together.
__device__ inline float2 load_pair(const float* pair) {
  return *reinterpret_cast<const float2*>(pair);
}
__device__ inline float2 load_pair(const uint16_t* pair) {
  const uint32_t both = *reinterpret_cast<const uint32_t*>(pair);
  return make_float2(half_bits_to_float(uint16_t(both)), half_bits_to_float(uint16_t(both >> 16)));
}

// See products.h. kAligned: one access of 8 bytes.
template <bool kAligned>
__device__ inline float4 load_columns(const uint16_t* row, int c, int dim) {
  float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if constexpr (kAligned) {
    if (c >= dim) return x;
    const uint2 four = *reinterpret_cast<const uint2*>(row + c);
    x = make_float4(
        half_bits_to_float(uint16_t(four.x)), half_bits_to_float(uint16_t(four.x >> 16)),
        half_bits_to_float(uint16_t(four.y)), half_bits_to_float(uint16_t(four.y >> 16)));
  } else {
    if (c < dim) x.x = half_bits_to_float(row[c]);
    if (c + 1 < dim) x.y = half_bits_to_float(row[c + 1]);
    if (c + 2 < dim) x.z = half_bits_to_float(row[c + 2]);
    if (c + 3 < dim) x.w = half_bits_to_float(row[c + 3]);
  }
  return x;
}

#if RINGSIDE_MMA
// Every float16 is a TF32 too: 11 bits, and fewer exponents. So the second factor needs no part for
// what is cut off, and two products do what takes three between floats.
template <bool kSplit>
__device__ inline void multiply_exact(float (&d)[4], const Split<kSplit, 4>& a, float b0,
                                      float b1) {
  const uint32_t b[2] = {float_to_bits(b0), float_to_bits(b1)};
  if constexpr (kSplit) {
    add_apart(d, [&](float(&sum)[4]) {
      mma_tf32(sum, a.low, b);
      mma_tf32(sum, a.high, b);
    });
  } else {
    mma_tf32(d, a.high, b);
  }
}

// As in products.h. Of the rows' distance in values, 8 modulo 32 has no bank conflicts in either.
template <bool kSplit>
__device__ inline void multiply_transposed(float (&d)[4], const Split<kSplit, 4>& a,
                                           const uint16_t* pair) {
  const float2 x = load_pair(pair);
  multiply_exact(d, a, x.x, x.y);
}

template <bool kSplit>
__device__ inline void multiply_plain(float (&d)[2][4], const Split<kSplit, 4>& a,
                                      const uint16_t* pair, int width) {
  const float2 x = load_pair(pair), y = load_pair(pair + width);
  multiply_exact(d[0], a, x.x, y.x);
  multiply_exact(d[1], a, x.y, y.y);
}
#endif

}  // namespace ringside::cuda
