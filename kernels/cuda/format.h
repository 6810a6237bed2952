// How weights lie in device memory, and how a kernel reads them: 32 columns of a row, "a group", at
// a time.
//
// A placed Matrix has its type, rows, cols, group and block as before, and its pointers name
// planes. A plane holds one thing for all groups, group after group and row after row (so that
// group g of row r is at index r * cols / 32 + g), and is padded to 256 bytes:
//   data    f32 .. f8: the values as they are. q8_0: 32 int8 a group. The others: the lower four
//   bits
//           of the 32 values in 16 bytes, word k holding values 4k .. 4k+3 in its low nibbles and
//           16+4k .. 16+4k+3 in its high ones, so that a mask makes four int8 in order.
//           Behind that plane, q5_*: the fifth bits, a word a group, of value 4k+j bit 8j+k. q6_k:
//           the upper two bits, two words a group, of value 4k+j bits 8j + 2 (k mod 4) of word k/4.
//   scales  f8: float. int4, q8_0, q4_0, q5_0: half. q4_1, q5_1: half d, half m. q4_k, q5_k: 16
//           bytes a super-block: half d, half dmin, and three words of eight nibbles, one a group:
//           of its scale and of its minimum the lower four bits, and the upper two of both, the
//           minimum's above. q6_k: two int8 a group, for 16 columns each; behind that plane a half
//           a super-block.
//   zeros   int4: a byte a scale, or null.
//   bias    float.
#pragma once

#include "../backend.h"
#include "gpu.h"

namespace ringside::cuda {

__host__ __device__ constexpr bool is_integer(Type type) { return type >= Type::int4; }
__host__ __device__ constexpr bool is_super(Type type) {
  return type == Type::q4_k || type == Type::q5_k || type == Type::q6_k;
}
__host__ __device__ constexpr int64_t padded(int64_t bytes) { return (bytes + 255) / 256 * 256; }

// Bytes of a group in the plane of quants, and in that of upper bits behind it.
__host__ __device__ constexpr int quant_bytes(Type type) { return type == Type::q8_0 ? 32 : 16; }
__host__ __device__ constexpr int upper_bytes(Type type) {
  if (type == Type::q6_k) return 8;
  return type == Type::q5_0 || type == Type::q5_1 || type == Type::q5_k ? 4 : 0;
}

// The planes of an integer matrix from one row on.
struct RowPlanes {
  const uint8_t* quants;
  const uint8_t* upper;
  const uint8_t* scales;
  const uint8_t* more;  // int4: zeros, or null; q6_k: the super-blocks' halves
  float inverse;        // int4: scales a group of 32
};

// No member is read that the type lacks, so what depends on `type` is decided when it is constant.
__device__ inline RowPlanes row_planes(Type type, const Matrix& w, int row) {
  const int64_t groups = w.cols / kGroup, first = row * groups, all = w.rows * groups;
  const auto* data = static_cast<const uint8_t*>(w.data);
  const auto* scales = static_cast<const uint8_t*>(w.scales);
  RowPlanes planes = {data + first * quant_bytes(type), nullptr, nullptr, nullptr, 1.0f};
  planes.upper = data + padded(all * 16) + first * upper_bytes(type);
  if (type == Type::int4) {
    const int64_t at = int64_t(row) * (w.cols / w.group);
    planes.scales = scales + at * 2;
    planes.more = w.zeros != nullptr ? w.zeros + at : nullptr;
    planes.inverse = float(kGroup) / float(w.group);
  } else if (type == Type::q6_k) {
    planes.scales = scales + first * 2;
    planes.more = scales + padded(all * 2) + first / 8 * 2;
  } else if (is_super(type)) {
    planes.scales = scales + first / 8 * 16;
  } else {
    planes.scales = scales + first * (type == Type::q4_1 || type == Type::q5_1 ? 4 : 2);
  }
  return planes;
}

// The bits of 32 columns as they were loaded. Which word holds what is the loaders' affair.
struct Raw {
  uint32_t word[9];
};

__device__ inline uint32_t load_half(const uint8_t* address) {
  return *reinterpret_cast<const uint16_t*>(address);
}
__device__ inline uint32_t load_word(const uint8_t* address) {
  return *reinterpret_cast<const uint32_t*>(address);
}

// c / size where 1 / size is `inverse`: exact for c below 2^21, and cheaper than a division.
__device__ inline int quotient(int c, float inverse) { return int((float(c) + 0.5f) * inverse); }

// Begins to load group g. Nothing here waits for a value, so a caller may have many under way.
template <Type kType>
__device__ inline void load_group(Raw& raw, const RowPlanes& row, int g) {
  uint32_t(&word)[9] = raw.word;
  const uint4 quants = load_streaming(row.quants + int64_t(g) * quant_bytes(kType));
  word[0] = quants.x, word[1] = quants.y, word[2] = quants.z, word[3] = quants.w;
  if constexpr (kType == Type::q8_0) {
    const uint4 rest = load_streaming(row.quants + int64_t(g) * 32 + 16);
    word[4] = rest.x, word[5] = rest.y, word[6] = rest.z, word[7] = rest.w;
  }
  if constexpr (upper_bytes(kType) == 4) word[4] = load_word(row.upper + int64_t(g) * 4);
  if constexpr (kType == Type::int4) {
    const int at = quotient(g, row.inverse);
    word[8] = load_half(row.scales + int64_t(at) * 2);
    word[7] = row.more != nullptr ? row.more[at] : 8;
  } else if constexpr (kType == Type::q6_k) {
    const uint2 upper = *reinterpret_cast<const uint2*>(row.upper + int64_t(g) * 8);
    word[4] = upper.x, word[5] = upper.y;
    word[7] = load_half(row.scales + int64_t(g) * 2);
    word[8] = load_half(row.more + int64_t(g / 8) * 2);
  } else if constexpr (is_super(kType)) {
    const uint4 scales = *reinterpret_cast<const uint4*>(row.scales + int64_t(g / 8) * 16);
    word[5] = scales.x, word[6] = scales.y, word[7] = scales.z, word[8] = scales.w;
  } else if constexpr (kType == Type::q4_1 || kType == Type::q5_1) {
    word[8] = load_word(row.scales + int64_t(g) * 4);
  } else {
    word[8] = load_half(row.scales + int64_t(g) * 2);
  }
}

// The 32 values as int8, four a word, in order. All but q8_0 and q6_k are unsigned here; what they
// are too large by is in their minimum (scales_of).
template <Type kType>
__device__ inline void unpack_group(uint32_t (&q)[8], const Raw& raw) {
  const uint32_t(&word)[9] = raw.word;
  for (int k = 0; k < 4; k++) {
    q[k] = kType == Type::q8_0 ? word[k] : word[k] & 0x0f0f0f0fu;
    q[k + 4] = kType == Type::q8_0 ? word[k + 4] : word[k] >> 4 & 0x0f0f0f0fu;
  }
  if constexpr (upper_bytes(kType) == 4) {
    for (int k = 0; k < 4; k++) {
      q[k] |= word[4] << (4 - k) & 0x10101010u;
      q[k + 4] |= word[4] >> k & 0x10101010u;
    }
  }
  if constexpr (kType == Type::q6_k) {
    const auto less_32 = [](uint32_t v) { return ((v | 0x80808080u) - 0x20202020u) ^ 0x80808080u; };
    for (int k = 0; k < 4; k++) {
      const int shift = 4 - 2 * k;  // the two bits go to bits 4 and 5 of each byte
      q[k] |= (shift > 0 ? word[4] << (shift & 7) : word[4] >> (-shift & 7)) & 0x30303030u;
      q[k + 4] |= (shift > 0 ? word[5] << (shift & 7) : word[5] >> (-shift & 7)) & 0x30303030u;
      q[k] = less_32(q[k]);
      q[k + 4] = less_32(q[k + 4]);
    }
  }
}

// Types whose groups have a minimum of their own. Those that have none are signed, or can be made
// so: then a group's values are q * x.
__host__ __device__ constexpr bool has_minimum(Type type) {
  return type == Type::q4_1 || type == Type::q5_1 || type == Type::q4_k || type == Type::q5_k;
}

// Makes what unpack_group() left unsigned of int4, q4_0 and q5_0 signed: nothing of the other
// types.
template <Type kType>
__device__ inline void center_group(uint32_t (&q)[8], const Raw& raw) {
  if constexpr (kType == Type::int4 || kType == Type::q4_0 || kType == Type::q5_0) {
    const uint32_t zero = kType == Type::int4 ? raw.word[7] : kType == Type::q4_0 ? 8 : 16;
    for (int k = 0; k < 8; k++)  // no byte borrows of the next: values and zeros are below 128
      q[k] = ((q[k] | 0x80808080u) - zero * 0x01010101u) ^ 0x80808080u;
  }
}

// A group's values are q * x + y; those of q6_k are q * x for the first 16 columns and q * y for
// the others.
template <Type kType>
__device__ inline float2 scales_of(const Raw& raw, int g) {
  const uint32_t(&word)[9] = raw.word;
  const float d = half_bits_to_float(uint16_t(word[8]));
  if constexpr (kType == Type::q8_0) return {d, 0.0f};
  if constexpr (kType == Type::q4_0) return {d, -8.0f * d};
  if constexpr (kType == Type::q5_0) return {d, -16.0f * d};
  if constexpr (kType == Type::int4) return {d, -float(int(word[7])) * d};
  if constexpr (kType == Type::q6_k) {
    return {d * float(int8_t(word[7])), d * float(int8_t(word[7] >> 8))};
  }
  if constexpr (kType == Type::q4_1 || kType == Type::q5_1) {
    return {d, half_bits_to_float(uint16_t(word[8] >> 16))};
  }
  const int shift = g % 8 * 4;
  const uint32_t top = word[8] >> shift;
  const float scale = float(int((word[6] >> shift & 15) | (top & 3) << 4));
  const float minimum = float(int((word[7] >> shift & 15) | (top >> 2 & 3) << 4));
  return {half_bits_to_float(uint16_t(word[5])) * scale,
          -half_bits_to_float(uint16_t(word[5] >> 16)) * minimum};
}

template <Type kType>
struct TypeTag {
  static constexpr Type kValue = kType;
};

// visit(TypeTag<type>()) for an integer type.
template <typename Visit>
__device__ inline void with_integer_type(Type type, Visit visit) {
  switch (type) {
    case Type::int4:
      return visit(TypeTag<Type::int4>());
    case Type::q8_0:
      return visit(TypeTag<Type::q8_0>());
    case Type::q4_0:
      return visit(TypeTag<Type::q4_0>());
    case Type::q4_1:
      return visit(TypeTag<Type::q4_1>());
    case Type::q5_0:
      return visit(TypeTag<Type::q5_0>());
    case Type::q5_1:
      return visit(TypeTag<Type::q5_1>());
    case Type::q4_k:
      return visit(TypeTag<Type::q4_k>());
    case Type::q5_k:
      return visit(TypeTag<Type::q5_k>());
    default:
      return visit(TypeTag<Type::q6_k>());
  }
}

// Where the scale of a column of an f8 matrix lies: at scales[column / block].
struct F8Scales {
  const float* row;
  float inverse;  // 0: the row has one scale
};
__device__ inline F8Scales f8_scales(const Matrix& w, int row) {
  const auto* scales = static_cast<const float*>(w.scales);
  if (w.block == 0) return {scales + row, 0.0f};
  const int64_t across = (w.cols + w.block - 1) / w.block;
  return {scales + row / w.block * across, 1.0f / float(w.block)};
}

// One value of a matrix of floats, of any shape: what rows are read by that lie at odd addresses.
__device__ inline float float_at(const Matrix& w, int row, int c) {
  const int64_t at = int64_t(row) * w.cols + c;
  if (w.type == Type::f32) return static_cast<const float*>(w.data)[at];
  if (w.type == Type::f16) return half_bits_to_float(static_cast<const uint16_t*>(w.data)[at]);
  if (w.type == Type::bf16) return bf16_bits_to_float(static_cast<const uint16_t*>(w.data)[at]);
  const F8Scales scales = f8_scales(w, row);
  return f8_bits_to_float(static_cast<const uint8_t*>(w.data)[at]) *
         scales.row[quotient(c, scales.inverse)];
}

}  // namespace ringside::cuda
