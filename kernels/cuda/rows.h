// Rows of weights times a few columns of activations: what decoding spends its time on. A warp
// computes kRows rows; its lanes share the columns, 16 bytes of weights each at a time. Bound by
// reading the weights, so the next ones are under way while these are multiplied.
#pragma once

#include "activations.h"
#include "format.h"

namespace ringside::cuda {

// Rows a warp has at once. A guess: two loads of 16 bytes under way a lane and again two for the
// next step are 2 KB a warp, and eight warps of them fill what an H100 needs to hide its latency
// (3.35 TB/s * 700 ns = 18 KB a processor); and activations are read once for two rows.
constexpr int kRows = 2;

__device__ inline int least(int a, int b) { return a < b ? a : b; }

// What a warp is to multiply: rows row .. row+kRows-1 of w (those beyond its end repeat the last
// one) with rows 0 .. n-1 of x.
struct RowTask {
  const Matrix& w;
  const Activations& x;
  int row, n;

  __device__ int row_at(int r) const { return least(row + r, w.rows - 1); }
  __device__ int64_t column_at(int i) const { return int64_t(least(i, n - 1)); }
};

template <Type kType>
__device__ inline void multiply_group(float& sum, const uint32_t (&q)[8], float2 scales,
                                      const uint4& low, const uint4& high, float2 group) {
  int first = dot_s8(q[0], low.x, dot_s8(q[1], low.y, dot_s8(q[2], low.z, dot_s8(q[3], low.w, 0))));
  if constexpr (kType == Type::q6_k) {
    const int second =
        dot_s8(q[4], high.x, dot_s8(q[5], high.y, dot_s8(q[6], high.z, dot_s8(q[7], high.w, 0))));
    sum += group.x * (scales.x * float(first) + scales.y * float(second));
  } else {
    first = dot_s8(q[4], high.x, dot_s8(q[5], high.y, dot_s8(q[6], high.z, first)));
    first = dot_s8(q[7], high.w, first);
    sum += scales.x * group.x * float(first);
    if constexpr (kType != Type::q8_0) sum += scales.y * group.y;
  }
}

template <Type kType, int N>
__device__ inline void integer_rows(float (&sums)[kRows * N], const RowTask& task) {
  const int groups = task.w.cols / kGroup;
  RowPlanes planes[kRows];
  for (int r = 0; r < kRows; r++) planes[r] = row_planes(kType, task.w, task.row_at(r));
  Raw raw[kRows] = {}, next[kRows] = {};
  int g = lane_of();
  for (int r = 0; r < kRows; r++)
    if (g < groups) load_group<kType>(raw[r], planes[r], g);
  for (; g < groups; g += kWarp) {
    for (int r = 0; r < kRows; r++)
      if (g + kWarp < groups) load_group<kType>(next[r], planes[r], g + kWarp);
    uint32_t q[kRows][8];
    float2 scales[kRows];
    for (int r = 0; r < kRows; r++) {
      unpack_group<kType>(q[r], raw[r]);
      scales[r] = scales_of<kType>(raw[r], g);
      raw[r] = next[r];
    }
    for (int i = 0; i < N; i++) {
      const int64_t at = task.column_at(i) * groups + g;
      const auto* x = reinterpret_cast<const uint4*>(task.x.q + at * kGroup);
      const uint4 low = x[0], high = x[1];
      const float2 group = task.x.groups[at];
      for (int r = 0; r < kRows; r++)
        multiply_group<kType>(sums[r * N + i], q[r], scales[r], low, high, group);
    }
  }
}

// Columns in 16 bytes of a row.
template <Type kType>
constexpr int kFloatCols = kType == Type::f32  ? 4
                           : kType == Type::f8 ? 16
                                               : 8;

// Whether rows can be read 16 bytes at a time, each of one scale.
__device__ inline bool is_even(const Matrix& w) {
  if (w.type == Type::f8) return w.cols % 16 == 0 && w.block % 16 == 0;
  return w.cols % (w.type == Type::f32 ? 4 : 8) == 0;
}

template <Type kType>
__device__ inline void load_floats(Raw& raw, const Matrix& w, int row, int piece) {
  constexpr int kCols = kFloatCols<kType>;
  const int64_t at = int64_t(row) * (w.cols / kCols) + piece;
  const uint4 bits = load_streaming(static_cast<const uint8_t*>(w.data) + at * 16);
  raw.word[0] = bits.x, raw.word[1] = bits.y, raw.word[2] = bits.z, raw.word[3] = bits.w;
  if constexpr (kType == Type::f8) {
    const F8Scales scales = f8_scales(w, row);
    raw.word[4] = float_to_bits(scales.row[quotient(piece * kCols, scales.inverse)]);
  }
}

// E4M3 byte j of a word, NaN left out: see has_nan(). Three instructions less than
// f8_bits_to_float(), where arithmetic might come to cost more than reading.
__device__ inline float finite_f8(uint32_t word, int j) {
  const uint32_t bits = word << (24 - 8 * j);
  return bits_to_float((bits & 0x80000000u) | (bits >> 4 & 0x07f00000u)) * 0x1p120f;
}
__device__ inline bool has_nan(uint32_t word) {
  return (((word & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u) != 0;
}

template <Type kType>
__device__ inline void unpack_floats(float (&value)[kFloatCols<kType>], const Raw& raw) {
  for (int k = 0; k < 4; k++) {
    const uint32_t word = raw.word[k];
    if constexpr (kType == Type::f32) {
      value[k] = bits_to_float(word);
    } else if constexpr (kType == Type::f8) {
      for (int j = 0; j < 4; j++) value[4 * k + j] = finite_f8(word, j);
      if (has_nan(word)) value[4 * k] = NAN;  // it makes the sum NaN wherever it stands
    } else if constexpr (kType == Type::f16) {
      value[2 * k] = half_bits_to_float(uint16_t(word));
      value[2 * k + 1] = half_bits_to_float(uint16_t(word >> 16));
    } else {
      value[2 * k] = bits_to_float(word << 16);
      value[2 * k + 1] = bits_to_float(word & 0xffff0000u);
    }
  }
}

// The sum of the products of a piece's values with columns c .. of a row of x.
template <Type kType>
__device__ inline float dot_floats(const float (&value)[kFloatCols<kType>], const Activations& x,
                                   int64_t at) {
  float sum = 0.0f;
  if constexpr (kType == Type::f8 || kType == Type::bf16) {
    for (int k = 0; k < kFloatCols<kType> / 8; k++) {
      const uint4 bits = *reinterpret_cast<const uint4*>(x.bf16 + at + 8 * k);
      const uint32_t word[4] = {bits.x, bits.y, bits.z, bits.w};
      for (int j = 0; j < 4; j++) {
        sum += value[8 * k + 2 * j] * bits_to_float(word[j] << 16);
        sum += value[8 * k + 2 * j + 1] * bits_to_float(word[j] & 0xffff0000u);
      }
    }
  } else {
    for (int k = 0; k < kFloatCols<kType> / 4; k++) {
      const float4 four = *reinterpret_cast<const float4*>(x.f32 + at + 4 * k);
      sum += value[4 * k] * four.x + value[4 * k + 1] * four.y;
      sum += value[4 * k + 2] * four.z + value[4 * k + 3] * four.w;
    }
  }
  return sum;
}

template <Type kType, int N>
__device__ inline void float_rows(float (&sums)[kRows * N], const RowTask& task) {
  constexpr int kCols = kFloatCols<kType>;
  const int pieces = task.w.cols / kCols;
  Raw raw[kRows] = {}, next[kRows] = {};
  int p = lane_of();
  for (int r = 0; r < kRows; r++)
    if (p < pieces) load_floats<kType>(raw[r], task.w, task.row_at(r), p);
  for (; p < pieces; p += kWarp) {
    for (int r = 0; r < kRows; r++)
      if (p + kWarp < pieces) load_floats<kType>(next[r], task.w, task.row_at(r), p + kWarp);
    for (int r = 0; r < kRows; r++) {
      float value[kCols];
      unpack_floats<kType>(value, raw[r]);
      const float scale = kType == Type::f8 ? bits_to_float(raw[r].word[4]) : 1.0f;
      for (int i = 0; i < N; i++) {
        const int64_t at = (task.column_at(i) * pieces + p) * kCols;
        sums[r * N + i] += scale * dot_floats<kType>(value, task.x, at);
      }
      raw[r] = next[r];
    }
  }
}

template <int N>
__device__ inline void uneven_rows(float (&sums)[kRows * N], const RowTask& task) {
  for (int c = lane_of(); c < task.w.cols; c += kWarp)
    for (int r = 0; r < kRows; r++) {
      const float value = float_at(task.w, task.row_at(r), c);
      for (int i = 0; i < N; i++) {
        const int64_t at = task.column_at(i) * task.w.cols + c;
        sums[r * N + i] += value * activation_at(task.w.type, task.x, at);
      }
    }
}

// Sums kCount values over the lanes, which takes kCount - 1 exchanges and a few: half of the lanes
// go on with half of the values, and so on. A lane gets value lane / (32 / kCount). Every value is
// added up in the same order, whatever kCount is.
template <int kCount>
__device__ inline float sum_lanes(float (&value)[kCount]) {
  int mask = kWarp / 2;
  for (int half = kCount / 2; half > 0; half /= 2, mask /= 2) {
    const bool upper = (lane_of() & mask) != 0;
    for (int i = 0; i < half; i++) {
      const float given = upper ? value[i] : value[i + half];
      value[i] = (upper ? value[i + half] : value[i]) + shuffle_xor(given, mask);
    }
  }
  for (; mask > 0; mask /= 2) value[0] += shuffle_xor(value[0], mask);
  return value[0];
}

// Whether this lane's sum_lanes() is the first copy of it, and of which value.
template <int kCount>
__device__ inline bool has_sum(int& which) {
  which = lane_of() / (kWarp / kCount);
  return lane_of() % (kWarp / kCount) == 0;
}

// The products of a task, for the lane that has_sum<kRows * N>: row which / N, column which % N.
template <int N>
__device__ inline float multiply_rows(const RowTask& task) {
  float sums[kRows * N] = {};
  const Type type = task.w.type;
  if (is_integer(type)) {
    with_integer_type(type, [&](auto tag) { integer_rows<decltype(tag)::kValue, N>(sums, task); });
  } else if (!is_even(task.w)) {
    uneven_rows<N>(sums, task);
  } else if (type == Type::f32) {
    float_rows<Type::f32, N>(sums, task);
  } else if (type == Type::f16) {
    float_rows<Type::f16, N>(sums, task);
  } else if (type == Type::bf16) {
    float_rows<Type::bf16, N>(sums, task);
  } else {
    float_rows<Type::f8, N>(sums, task);
  }
  return sum_lanes(sums);
}

}  // namespace ringside::cuda
