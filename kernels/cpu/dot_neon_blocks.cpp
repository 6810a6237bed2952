// NEON of the aarch64 baseline: int4 and the block formats of GGUF against int8.
#include "dot.h"

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#include <string.h>

namespace ringside {
namespace {

float half_at(const uint8_t* bytes) {
  uint16_t bits;
  memcpy(&bits, bytes, 2);
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0);
}

struct Halves {
  float of[16];
};

Halves halves_at(const uint8_t* bytes, int stride) {
  Halves x;
  for (int g = 0; g < 8; g++) x.of[2 * g] = x.of[2 * g + 1] = half_at(bytes + g * stride);
  return x;
}

Halves halves_of(uint64_t low, uint64_t high) {
  const uint64_t words[2] = {low, high};
  uint8_t bytes[16];
  memcpy(bytes, words, 16);
  return halves_at(bytes, 2);
}

Halves bytes_of(uint64_t eight, float factor) {
  Halves x;
  for (int g = 0; g < 8; g++) x.of[2 * g] = x.of[2 * g + 1] = factor * float(eight >> 8 * g & 255);
  return x;
}

Halves signed_bytes_at(const uint8_t* bytes, float factor) {
  Halves x;
  for (int h = 0; h < 16; h++) x.of[h] = factor * float(int8_t(bytes[h]));
  return x;
}

Halves times(Halves x, const Halves& y) {
  for (int h = 0; h < 16; h++) x.of[h] *= y.of[h];
  return x;
}

Halves times(Halves x, float factor) {
  for (int h = 0; h < 16; h++) x.of[h] *= factor;
  return x;
}

#include "dot_blocks.inc"

struct Pair {
  int8x16_t half[4];  // of the two groups
};

int8x16_t low_of(uint8x16_t bytes) { return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))); }
int8x16_t high_of(uint8x16_t bytes) { return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4)); }

// (bytes >> right & mask) << left
int8x16_t bits_of(uint8x16_t bytes, int right, int mask, int left) {
  const uint8x16_t bits =
      vandq_u8(vshlq_u8(bytes, vdupq_n_s8(int8_t(-right))), vdupq_n_u8(uint8_t(mask)));
  return vreinterpretq_s8_u8(vshlq_u8(bits, vdupq_n_s8(int8_t(left))));
}

// 16 where the bit of that number is set.
int8x16_t fifth_of(const uint8_t* bytes) {
  const uint8x16_t spread = vcombine_u8(vdup_n_u8(bytes[0]), vdup_n_u8(bytes[1]));
  const uint8x8_t bit = vcreate_u8(0x8040201008040201);
  return vreinterpretq_s8_u8(vandq_u8(vtstq_u8(spread, vcombine_u8(bit, bit)), vdupq_n_u8(16)));
}

// Int4, Q4_0, Q4_1
template <typename Format>
Pair unpack(Format, const uint8_t* at, int pair) {
  at += 2 * pair * Format::kBytes + Format::kQuants;
  const uint8x16_t a = vld1q_u8(at), b = vld1q_u8(at + Format::kBytes);
  return {{low_of(a), high_of(a), low_of(b), high_of(b)}};
}

Pair unpack(Q8_0, const uint8_t* at, int pair) {
  const auto* q = reinterpret_cast<const int8_t*>(at + 2 * pair * Q8_0::kBytes + Q8_0::kQuants);
  return {
      {vld1q_s8(q), vld1q_s8(q + 16), vld1q_s8(q + Q8_0::kBytes), vld1q_s8(q + Q8_0::kBytes + 16)}};
}

template <typename Format>
Pair unpack_fives(const uint8_t* at, int pair) {
  Pair groups;
  at += 2 * pair * Format::kBytes;
  for (int g = 0; g < 2; g++, at += Format::kBytes) {
    const uint8x16_t bytes = vld1q_u8(at + Format::kQuants);
    groups.half[2 * g] = vorrq_s8(low_of(bytes), fifth_of(at + Format::kFifth));
    groups.half[2 * g + 1] = vorrq_s8(high_of(bytes), fifth_of(at + Format::kFifth + 2));
  }
  return groups;
}
Pair unpack(Q5_0, const uint8_t* at, int pair) { return unpack_fives<Q5_0>(at, pair); }
Pair unpack(Q5_1, const uint8_t* at, int pair) { return unpack_fives<Q5_1>(at, pair); }

Pair unpack(Q4_K, const uint8_t* at, int pair) {
  at += Q4_K::kQuants + 32 * pair;
  const uint8x16_t a = vld1q_u8(at), b = vld1q_u8(at + 16);
  return {{low_of(a), low_of(b), high_of(a), high_of(b)}};
}

Pair unpack(Q5_K, const uint8_t* at, int pair) {
  const uint8x16_t a = vld1q_u8(at + Q5_K::kQuants + 32 * pair);
  const uint8x16_t b = vld1q_u8(at + Q5_K::kQuants + 32 * pair + 16);
  const uint8x16_t c = vld1q_u8(at + Q5_K::kFifth), d = vld1q_u8(at + Q5_K::kFifth + 16);
  return {{vorrq_s8(low_of(a), bits_of(c, 2 * pair, 1, 4)),
           vorrq_s8(low_of(b), bits_of(d, 2 * pair, 1, 4)),
           vorrq_s8(high_of(a), bits_of(c, 2 * pair + 1, 1, 4)),
           vorrq_s8(high_of(b), bits_of(d, 2 * pair + 1, 1, 4))}};
}

Pair unpack(Q6_K, const uint8_t* at, int pair) {
  const int half = pair / 2, run = pair % 2;
  Pair groups;
  for (int h = 0; h < 4; h++) {
    const uint8x16_t bytes = vld1q_u8(at + 64 * half + 16 * h);
    const uint8x16_t upper = vld1q_u8(at + Q6_K::kUpper + 32 * half + 16 * (h % 2));
    groups.half[h] = vorrq_s8(run == 0 ? low_of(bytes) : high_of(bytes),
                              bits_of(upper, 4 * run + 2 * (h / 2), 3, 4));
  }
  return groups;
}

// u . q of 16 columns. Two products of at most 128 * 127 stay below 32,767.
int32x4_t half_dot(int8x16_t u, const int8_t* quants) {
  const int8x16_t q = vld1q_s8(quants);
  const int16x8_t products = vmull_s8(vget_low_s8(u), vget_low_s8(q));
  return vpaddlq_s16(vmlal_s8(products, vget_high_s8(u), vget_high_s8(q)));
}

template <typename Format, int kCount, typename Pairs>
RINGSIDE_INLINE void add_chunk(float32x4_t (&sum)[kCount], const Chunk& c,
                               const Scales<HalfLanes>& s, const Activations* x, Pairs pairs) {
  for (int h = 0; h < 16 && !Format::kSigned; h += 4)
    for (int i = 0; i < kCount; i++)
      sum[i] =
          vfmsq_f32(sum[i], vld1q_f32(s.offset.of + h), vld1q_f32(x[i].sums + 2 * c.group + h));
  for (int p = 0; p < pairs; p++) {
    const Pair u = unpack(Format{}, c.at, p);
    for (int g = 0; g < 2; g++) {
      const float* scale = s.scale.of + 4 * p + 2 * g;
      for (int i = 0; i < kCount; i++) {
        const float own = x[i].scales[8 * (c.group + 2 * p + g)];
        const int8_t* q = quants_of<Format>(x[i], c) + 64 * p + 32 * g;
        const int32x4_t a = half_dot(u.half[2 * g], q), b = half_dot(u.half[2 * g + 1], q + 16);
        if constexpr (Format::kHalvesDiffer) {
          sum[i] = vfmaq_n_f32(sum[i], vcvtq_f32_s32(a), scale[0] * own);
          sum[i] = vfmaq_n_f32(sum[i], vcvtq_f32_s32(b), scale[1] * own);
        } else {
          sum[i] = vfmaq_n_f32(sum[i], vcvtq_f32_s32(vaddq_s32(a, b)), scale[0] * own);
        }
      }
    }
  }
}

template <typename Format>
template <int kCount>
void BlockTile<Format>::run() const {
  for (int r = 0; r < w.count; r++) {
    float32x4_t sum[kCount];
    for (int i = 0; i < kCount; i++) sum[i] = vdupq_n_f32(0.0f);
    add_row<Format, HalfLanes>(sum, w, r, x);
    for (int i = 0; i < kCount; i++) out[i * out_stride + r] = vaddvq_f32(sum[i]);
  }
}

}  // namespace

void integer_rows_neon(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                       int count) {
  integer_rows(out, out_stride, w, x, count);
}

}  // namespace ringside
#endif
