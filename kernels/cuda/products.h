// Pieces that the kernels of attention and of lightning attention are built from: loads of heads of
// any size, and products of floats on tensor cores.
#pragma once

#include "gpu.h"

namespace ringside::cuda {

template <typename T>
__device__ inline T lesser(T a, T b) {
  return a < b ? a : b;
}

// Columns c .. c+3 of a row of `dim` floats; zeros beyond. kAligned: one access of 16 bytes.
template <bool kAligned>
__device__ inline float4 load_columns(const float* row, int c, int dim) {
  float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if constexpr (kAligned) {
    if (c < dim) x = *reinterpret_cast<const float4*>(row + c);
  } else {
    if (c < dim) x.x = row[c];
    if (c + 1 < dim) x.y = row[c + 1];
    if (c + 2 < dim) x.z = row[c + 2];
    if (c + 3 < dim) x.w = row[c + 3];
  }
  return x;
}

template <bool kAligned>
__device__ inline void store_columns(float* row, int c, int dim, float4 x) {
  if constexpr (kAligned) {
    if (c < dim) *reinterpret_cast<float4*>(row + c) = x;
  } else {
    if (c < dim) row[c] = x.x;
    if (c + 1 < dim) row[c + 1] = x.y;
    if (c + 2 < dim) row[c + 2] = x.z;
    if (c + 3 < dim) row[c + 3] = x.w;
  }
}

__device__ inline float dot(float4 a, float4 b, float sum) {
  return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
}

// sum += weight * x.
__device__ inline void add(float4& sum, float weight, float4 x) {
  sum.x = fmaf(weight, x.x, sum.x);
  sum.y = fmaf(weight, x.y, sum.y);
  sum.z = fmaf(weight, x.z, sum.z);
  sum.w = fmaf(weight, x.w, sum.w);
}

#if RINGSIDE_MMA
// Floats as tensor cores take them: TF32, 11 bits, of which the low 13 bits of a float are ignored.
// kSplit: the float itself, cut off there, and what that leaves, so that three products have about
// 21 bits. Cutting is two instructions a value and rounding would be four; splitting takes about as
// long as the products on Hopper. Else rounded.
template <bool kSplit, int kCount>
struct Split {
  uint32_t high[kCount], low[kSplit ? kCount : 1];

  __device__ explicit Split(const float (&x)[kCount]) {
    for (int i = 0; i < kCount; i++) {
      if constexpr (kSplit) {
        high[i] = float_to_bits(x[i]);
        low[i] = float_to_bits(x[i] - bits_to_float(high[i] & 0xffffe000u));
      } else {
        const uint32_t bits = float_to_bits(x[i]);
        const bool is_finite = (bits & 0x7f800000u) != 0x7f800000u;  // a NaN may turn into -0
        high[i] = is_finite ? bits + 0x1000u : bits;
      }
    }
  }
};

// Tensor cores cut off what falls below a sum's last bit: one that went through all keys there
// would lose more than the second part of the floats is worth, so theirs is of eight and is added
// outside.
template <typename Products>
__device__ inline void add_apart(float (&d)[4], Products products) {
  float sum[4] = {};
  products(sum);
  RINGSIDE_UNROLL
  for (int i = 0; i < 4; i++) d[i] += sum[i];
}

template <bool kSplit>
__device__ inline void multiply(float (&d)[4], const Split<kSplit, 4>& a,
                                const Split<kSplit, 2>& b) {
  if constexpr (kSplit) {
    add_apart(d, [&](float(&sum)[4]) {
      mma_tf32(sum, a.low, b.high);
      mma_tf32(sum, a.high, b.low);
      mma_tf32(sum, a.high, b.high);
    });
  } else {
    mma_tf32(d, a.high, b.high);
  }
}

// A product of 16 rows with 8 columns takes 8 steps of the inner dimension. In which order they
// lie in the fragments is free if both factors agree, and ours is that lane t of four has steps 2t
// and 2t + 1: so that pairs are read at once, and that sums of one product (rows g, g, g+8, g+8;
// columns 2t, 2t+1) are a factor of the next as they are.
__device__ inline void as_factor(float (&a)[4], const float (&d)[4]) {
  a[0] = d[0];
  a[1] = d[2];
  a[2] = d[1];
  a[3] = d[3];
}

// d += a times the transpose of 8 rows in shared memory. `pair`: this lane's two steps of row g. Of
// the rows' distance in floats, 8 modulo 32 has no bank conflicts.
template <bool kSplit>
__device__ inline void multiply_transposed(float (&d)[4], const Split<kSplit, 4>& a,
                                           const float* pair) {
  const float2 x = *reinterpret_cast<const float2*>(pair);
  const float b[2] = {x.x, x.y};
  multiply(d, a, Split<kSplit, 2>(b));
}

// The two d += a times 8 rows in shared memory, of which 16 columns. `pair`: columns 2g, 2g + 1 of
// row 2t; `width` floats behind it, of row 2t + 1: 4 modulo 32 has no bank conflicts. Lane t gets
// columns 4t, 4t + 2 in d[0] and 4t + 1, 4t + 3 in d[1]: four that lie together.
template <bool kSplit>
__device__ inline void multiply_plain(float (&d)[2][4], const Split<kSplit, 4>& a,
                                      const float* pair, int width) {
  const float2 x = *reinterpret_cast<const float2*>(pair);
  const float2 y = *reinterpret_cast<const float2*>(pair + width);
  const float even[2] = {x.x, y.x}, odd[2] = {x.y, y.y};
  multiply(d[0], a, Split<kSplit, 2>(even));
  multiply(d[1], a, Split<kSplit, 2>(odd));
}
#endif

}  // namespace ringside::cuda
