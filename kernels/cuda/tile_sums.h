// The sums of a tile: of its share of them, each warp adds up the products of its pieces of a step.
// TensorSums does that on tensor cores, PlainSums without.
#pragma once

#include "tile.h"

namespace ringside::cuda {

// Which part of a tile a warp has.
template <typename S>
struct Place {
  static constexpr int kPlane = S::kRowWarps * S::kTokenWarps;
  __device__ static int depth() { return warp_of() / kPlane; }
  __device__ static int row() {
    return warp_of() % kPlane / S::kTokenWarps * (S::kRows / S::kRowWarps);
  }
  __device__ static int token() {
    return warp_of() % S::kTokenWarps * (S::kTokens / S::kTokenWarps);
  }
};

#if RINGSIDE_MMA

// Integers are added up onto this one, whose bits as a float are 1.5 * 2^23: then the sum's are a
// float as well (any sum below 2^22 fits), and one subtraction turns the one into the other, at a
// quarter of the price of a conversion.
constexpr int kFloatBits = 0x4b400000;
__device__ inline float sum_of(int bits) { return bits_to_float(uint32_t(bits)) - 12582912.0f; }

// What TF32 drops.
__device__ inline uint32_t low_part(uint32_t bits) {
  return float_to_bits(bits_to_float(bits) - bits_to_float(bits & 0xffffe000u));
}

template <Type kType, typename S>
class TensorSums {
 public:
  static constexpr int kRowTiles = S::kRows / S::kRowWarps / 16;
  static constexpr int kTokenTiles = S::kTokens / S::kTokenWarps / 8;
  static constexpr int kCount = kRowTiles * kTokenTiles * 4;

  float sum[kCount] = {};

  __device__ void multiply(const Buffer<S>& buffer) {
    RINGSIDE_ONE_BY_ONE
    for (int half = 0; half < 2; half++) {
      const int piece = Place<S>::depth() * 2 + half, lane = lane_of();
      uint32_t b[kTokenTiles][2];
      RINGSIDE_UNROLL
      for (int j = 0; j < kTokenTiles; j += 2) {
        uint32_t r[4];
        const int token = Place<S>::token() + j * 8 + lane / 16 * 8 + lane % 8;
        load_matrices(r, buffer.tokens + token * S::kStride + piece * 32 + lane / 8 % 2 * 16);
        b[j][0] = r[0], b[j][1] = r[1], b[j + 1][0] = r[2], b[j + 1][1] = r[3];
      }
      RINGSIDE_UNROLL
      for (int i = 0; i < kRowTiles; i++) {
        uint32_t a[4];
        const int row = Place<S>::row() + i * 16;
        load_matrices(
            a, buffer.weights + (row + lane % 16) * S::kStride + piece * 32 + lane / 16 * 16);
        const float2* scales = buffer.row_scales + piece * S::kRows + row + lane / 4;
        if constexpr (is_integer(kType)) {
          multiply_integers(i, a, b, scales, buffer.token_scales + piece * S::kTokens);
        } else if constexpr (kind_of(kType) == Kind::bf16) {
          multiply_bf16(i, a, b, scales);
        } else {
          multiply_floats(i, a, b);
        }
      }
    }
  }

  // visit(row, token, sum) for each, within the tile.
  template <typename Visit>
  __device__ void each(Visit visit) const {
    RINGSIDE_UNROLL
    for (int i = 0; i < kRowTiles; i++) RINGSIDE_UNROLL
    for (int j = 0; j < kTokenTiles; j++) RINGSIDE_UNROLL
    for (int k = 0; k < 4; k++)
      visit(Place<S>::row() + i * 16 + k / 2 * 8 + lane_of() / 4,
            Place<S>::token() + j * 8 + lane_of() % 4 * 2 + k % 2,
            sum[(i * kTokenTiles + j) * 4 + k]);
  }

 private:
  using Tokens = uint32_t[kTokenTiles][2];

  __device__ void multiply_integers(int i, const uint32_t (&a)[4], const Tokens& b,
                                    const float2* row_scales, const float2* token_scales) {
    const float2 rows[2] = {row_scales[0], row_scales[8]};
    RINGSIDE_UNROLL
    for (int j = 0; j < kTokenTiles; j++) {
      const float4 two = *reinterpret_cast<const float4*>(token_scales + Place<S>::token() + j * 8 +
                                                          lane_of() % 4 * 2);
      int d[4] = {kFloatBits, kFloatBits, kFloatBits, kFloatBits};
      int e[4] = {kFloatBits, kFloatBits, kFloatBits, kFloatBits};
      if constexpr (kType == Type::q6_k) {  // 16 columns each: the other 16 are zero
        mma_s8(d, {a[0], a[1], 0, 0}, b[j]);
        mma_s8(e, {0, 0, a[2], a[3]}, b[j]);
      } else {
        mma_s8(d, a, b[j]);
      }
      RINGSIDE_UNROLL
      for (int k = 0; k < 4; k++) {
        float& to = sum[(i * kTokenTiles + j) * 4 + k];
        const float2 row = rows[k / 2];
        const float scale = k % 2 == 0 ? two.x : two.z, total = k % 2 == 0 ? two.y : two.w;
        to += row.x * scale * sum_of(d[k]);
        if constexpr (kType == Type::q6_k) {
          to += row.y * scale * sum_of(e[k]);
        } else if constexpr (has_minimum(kType)) {
          to += row.y * total;
        }
      }
    }
  }

  __device__ void multiply_bf16(int i, const uint32_t (&a)[4], const Tokens& b,
                                const float2* row_scales) {
    const float scales[2] = {row_scales[0].x, row_scales[8].x};
    RINGSIDE_UNROLL
    for (int j = 0; j < kTokenTiles; j++) {
      float d[4];
      RINGSIDE_UNROLL
      for (int k = 0; k < 4; k++)
        d[k] = kType == Type::f8 ? 0.0f : sum[(i * kTokenTiles + j) * 4 + k];
      mma_bf16(d, a, b[j]);
      RINGSIDE_UNROLL
      for (int k = 0; k < 4; k++) {
        float& to = sum[(i * kTokenTiles + j) * 4 + k];
        to = kType == Type::f8 ? to + scales[k / 2] * d[k] : d[k];
      }
    }
  }

  // Each float is the sum of two TF32 values, so that 21 of its 24 bits count; the product of both
  // lower ones is left out. Tensor cores cut off what falls below a sum's last bit: a sum that went
  // through all columns there would be too small in the end (at 528 columns NMSE 1.7e-11 where
  // that is imitated, 3.0e-12 at 200), so theirs is of eight columns and is added up outside.
  __device__ void multiply_floats(int i, const uint32_t (&a)[4], const Tokens& b) {
    uint32_t low_a[4];
    RINGSIDE_UNROLL
    for (int k = 0; k < 4; k++) low_a[k] = low_part(a[k]);
    RINGSIDE_UNROLL
    for (int j = 0; j < kTokenTiles; j++) {
      const uint32_t low_b[2] = {low_part(b[j][0]), low_part(b[j][1])};
      float d[4] = {};
      mma_tf32(d, a, low_b);
      if constexpr (kType != Type::f16) mma_tf32(d, low_a, b[j]);
      mma_tf32(d, a, b[j]);
      RINGSIDE_UNROLL
      for (int k = 0; k < 4; k++) sum[(i * kTokenTiles + j) * 4 + k] += d[k];
    }
  }
};

#endif  // RINGSIDE_MMA

// A lane has every eighth row and every fourth token of its warp's part.
template <Type kType, typename S>
class PlainSums {
 public:
  static constexpr int kRowsEach = S::kRows / S::kRowWarps / 8;
  static constexpr int kTokensEach = S::kTokens / S::kTokenWarps / 4;
  static constexpr int kCount = kRowsEach * kTokensEach;

  float sum[kCount] = {};

  __device__ void multiply(const Buffer<S>& buffer) {
    RINGSIDE_ONE_BY_ONE
    for (int half = 0; half < 2; half++) {
      const int piece = Place<S>::depth() * 2 + half;
      int dots[kCount] = {};
      RINGSIDE_UNROLL
      for (int chunk = 0; chunk < 2; chunk++) {
        uint4 a[kRowsEach];
        RINGSIDE_UNROLL
        for (int i = 0; i < kRowsEach; i++)
          a[i] = *reinterpret_cast<const uint4*>(buffer.weights + row_of(i) * S::kStride +
                                                 piece * 32 + chunk * 16);
        RINGSIDE_UNROLL
        for (int j = 0; j < kTokensEach; j++) {
          const uint4 b = *reinterpret_cast<const uint4*>(buffer.tokens + token_of(j) * S::kStride +
                                                          piece * 32 + chunk * 16);
          RINGSIDE_UNROLL
          for (int i = 0; i < kRowsEach; i++) {
            if constexpr (is_integer(kType)) {
              int& dot = dots[i * kTokensEach + j];
              dot = dot_s8(a[i].x, b.x, dot_s8(a[i].y, b.y, dot));
              dot = dot_s8(a[i].z, b.z, dot_s8(a[i].w, b.w, dot));
            } else {
              const float scale =
                  kType == Type::f8 ? buffer.row_scales[piece * S::kRows + row_of(i)].x : 1.0f;
              sum[i * kTokensEach + j] += scale * dot_of(a[i], b);
            }
          }
        }
        if constexpr (is_integer(kType))
          if (kType == Type::q6_k || chunk == 1) add(dots, buffer, piece, chunk);
      }
    }
  }

  template <typename Visit>
  __device__ void each(Visit visit) const {
    RINGSIDE_UNROLL
    for (int i = 0; i < kRowsEach; i++) RINGSIDE_UNROLL
    for (int j = 0; j < kTokensEach; j++) visit(row_of(i), token_of(j), sum[i * kTokensEach + j]);
  }

 private:
  __device__ int row_of(int i) const { return Place<S>::row() + i * 8 + lane_of() % 8; }
  __device__ int token_of(int j) const { return Place<S>::token() + j * 4 + lane_of() / 8; }

  __device__ static float dot_of(uint32_t a, uint32_t b) {
    if (kind_of(kType) == Kind::floats) return bits_to_float(a) * bits_to_float(b);
    return bits_to_float(a << 16) * bits_to_float(b << 16) +
           bits_to_float(a & 0xffff0000u) * bits_to_float(b & 0xffff0000u);
  }
  __device__ static float dot_of(const uint4& a, const uint4& b) {
    return (dot_of(a.x, b.x) + dot_of(a.y, b.y)) + (dot_of(a.z, b.z) + dot_of(a.w, b.w));
  }

  // Scales the integers of a piece, of q6_k of half a piece, and begins anew.
  __device__ void add(int (&dots)[kCount], const Buffer<S>& buffer, int piece, int chunk) {
    constexpr bool kHalves = kType == Type::q6_k;
    RINGSIDE_UNROLL
    for (int i = 0; i < kRowsEach; i++) {
      const float2 row = buffer.row_scales[piece * S::kRows + row_of(i)];
      RINGSIDE_UNROLL
      for (int j = 0; j < kTokensEach; j++) {
        const float2 token = buffer.token_scales[piece * S::kTokens + token_of(j)];
        float& to = sum[i * kTokensEach + j];
        to += (kHalves && chunk == 1 ? row.y : row.x) * token.x * float(dots[i * kTokensEach + j]);
        if (has_minimum(kType)) to += row.y * token.y;
        dots[i * kTokensEach + j] = 0;
      }
    }
  }
};

// Adds up the sums of the warps that differ in depth, in that order; those of depth 0 get the
// whole. Uses the buffers, so everyone must be done with them.
template <typename S, typename Sums>
__device__ inline void add_depths(Sums& sums) {
  if constexpr (S::kDepth > 1) {
    static_assert(S::kRowWarps * S::kTokenWarps == 1);
    static_assert((S::kDepth - 1) * Sums::kCount * kWarp * sizeof(float) <=
                  S::kShared - kTaskBytes);
    auto* parts = reinterpret_cast<float*>(Buffer<S>(0).weights);
    __syncthreads();
    const int depth = Place<S>::depth();
    RINGSIDE_UNROLL
    for (int i = 0; depth > 0 && i < Sums::kCount; i++)
      parts[((depth - 1) * Sums::kCount + i) * kWarp + lane_of()] = sums.sum[i];
    __syncthreads();
    RINGSIDE_UNROLL
    for (int d = 0; depth == 0 && d < S::kDepth - 1; d++) RINGSIDE_UNROLL
    for (int i = 0; i < Sums::kCount; i++)
      sums.sum[i] += parts[(d * Sums::kCount + i) * kWarp + lane_of()];
  }
}

}  // namespace ringside::cuda
