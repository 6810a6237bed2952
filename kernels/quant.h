// The number formats of weights and activations, in portable C++: one value, or one group, at a
// time.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "backend.h"

namespace ringside {

// IEEE 754 binary16.
inline float f16_to_float(uint16_t bits) {
  const uint32_t exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const uint32_t sign = uint32_t(bits & 0x8000) << 16;
  if (exponent == 0) {  // zero, or subnormal
    const float value = float(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;  // infinities and NaN stay so
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

// Rounds to the nearest, ties to even. Finite values beyond the largest become that; infinities and
// NaN stay so.
inline uint16_t float_to_f16(float x) {
  constexpr float kMost = 65504.0f;
  const uint32_t all = std::bit_cast<uint32_t>(x), sign = all >> 16 & 0x8000;
  const float size = std::abs(x);
  if (!(size <= kMost)) {
    const uint32_t wide = std::isnan(x) ? 0x7e00 : std::isinf(x) ? 0x7c00 : 0x7bff;
    return uint16_t(sign | wide);
  }
  // Below 2^-14 values are multiples of 2^-24; the sum with 1/2 rounds to those.
  if (size < 0x1p-14f) return uint16_t(sign | (std::bit_cast<uint32_t>(size + 0.5f) & 0x7ff));
  const uint32_t bits = all & 0x7fffffff;
  return uint16_t(sign | (((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112 << 10)));
}

inline float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

// Rounds to the nearest, ties to even. A NaN stays one: some are rounded to -0 as if they were
// numbers.
inline uint16_t float_to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// OCP FP8 E4M3 (finite): no infinities, 0x7f and 0xff are NaN.
inline float f8_to_float(uint8_t bits) {
  const uint32_t exponent = (bits >> 3) & 15, fraction = bits & 7;
  const uint32_t sign = uint32_t(bits & 0x80) << 24;
  if (exponent == 15 && fraction == 7) return NAN;
  if (exponent == 0) {
    const float value = float(fraction) * 0x1p-9f;
    return sign != 0 ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent + 120) << 23 | fraction << 20);
}

// Value `i` of packed int4, 0 .. 15. A byte holds two, the first in its low half.
inline int nibble_of(const uint8_t* packed, int64_t i) {
  return packed[i / 2] >> (4 * (i & 1)) & 15;
}

// The scale of a group of activations, and the inverse to multiply by: scale 0 for all zeros. NaN
// where one of them is: damaged weights are found by what comes of them.
inline float group_scale(const float* x) {
  float top = 0.0f;
  for (int c = 0; c < kGroup; c++)
    if (!(std::abs(x[c]) <= top) && top == top) top = std::abs(x[c]);
  return top / 127.0f;
}

// Rounds to the nearest, ties to even (the default rounding mode). 0 where the scale is no number.
inline int8_t quantize(float x, float inverse_scale) {
  const float rounded = std::nearbyint(x * inverse_scale);
  return rounded == rounded ? int8_t(rounded) : int8_t(0);
}

}  // namespace ringside
