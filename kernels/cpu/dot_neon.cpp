// NEON of the aarch64 baseline (no dot-product extension: a Raspberry Pi 4 has none).
#include "dot.h"

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#include <math.h>

namespace ringside {
namespace {

#include "dot_common.inc"

using Vec = float32x4_t;
constexpr int kWidth = 4;
constexpr int kSpan = 4;  // 32 registers: 16 sums, 4 values, a weight
inline Vec load(const float* x) { return vld1q_f32(x); }
inline void store(float* x, Vec v) { vst1q_f32(x, v); }
inline Vec all(float x) { return vdupq_n_f32(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }

#include "dot_tile.inc"

float reduce(float32x4_t x) { return vaddvq_f32(x); }

float f16_scale(uint16_t bits) {
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0);
}

void int4_row(float* out, int64_t out_stride, const uint8_t* weights, const uint16_t* scales,
              const Activations* x, int count, int cols) {
  const int groups = cols / 32;
  float32x4_t sum[kTile];
  for (int i = 0; i < count; i++) sum[i] = vdupq_n_f32(0.0f);
  const int8x16_t eight = vdupq_n_s8(8);
  for (int g = 0; g < groups; g++) {
    const uint8x16_t packed = vld1q_u8(weights + g * 16);
    const uint8x16_t low = vandq_u8(packed, vdupq_n_u8(15)), high = vshrq_n_u8(packed, 4);
    const int8x16_t even = vsubq_s8(vreinterpretq_s8_u8(low), eight);
    const int8x16_t odd = vsubq_s8(vreinterpretq_s8_u8(high), eight);
    const float scale = f16_scale(scales[g]);
    for (int i = 0; i < count; i++) {
      const int8x16_t a = vld1q_s8(x[i].q + g * 32), b = vld1q_s8(x[i].q + g * 32 + 16);
      // Four products of at most 8 * 127 in 16 bits stay below 4,064.
      int16x8_t products = vmull_s8(vget_low_s8(even), vget_low_s8(a));
      products = vmlal_s8(products, vget_high_s8(even), vget_high_s8(a));
      products = vmlal_s8(products, vget_low_s8(odd), vget_low_s8(b));
      products = vmlal_s8(products, vget_high_s8(odd), vget_high_s8(b));
      const float32x4_t dot = vcvtq_f32_s32(vpaddlq_s16(products));
      sum[i] = vfmaq_n_f32(sum[i], dot, scale * x[i].scales[g * 8]);
    }
  }
  for (int i = 0; i < count; i++) out[i * out_stride] = vaddvq_f32(sum[i]);
}

// E4M3 to float by way of a half, times 2^8: see dot_avx2.cpp.
float32x4_t f8_to_f32(const uint8_t* bytes) {
  uint16_t bits[4];
  for (int i = 0; i < 4; i++) bits[i] = uint16_t((bytes[i] & 128) << 8 | (bytes[i] & 127) << 7);
  return vmulq_n_f32(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits))), 256.0f);
}

float32x4_t bf16_to_f32(const uint16_t* bits) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(bits), 16));
}

float32x4_t f16_to_f32(const uint16_t* bits) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits)));
}

#include "dot_rows.inc"

void quantize_group(int8_t* q, float* scales, float* correction, const float* x) {
  float32x4_t top = vdupq_n_f32(0.0f);
  for (int i = 0; i < 32; i += 4) top = vmaxq_f32(top, vabsq_f32(vld1q_f32(x + i)));
  const float scale = vmaxvq_f32(top) / 127.0f;
  const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
  int32_t values[32];
  for (int i = 0; i < 32; i += 4)
    vst1q_s32(values + i, vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse)));
  for (int i = 0; i < 16; i++) {
    q[i] = int8_t(values[2 * i]);
    q[16 + i] = int8_t(values[2 * i + 1]);
  }
  for (int i = 0; i < 8; i++) scales[i] = scale;
  *correction = 0.0f;  // the 8 is taken from the weights, which costs nothing here
}

const Dot kDot = {"neon",     int4_row,       f8_row,    bf16_row, f16_row,
                  f32_row,    quantize_group, scores_of, mix_into, exp_sum_of,
                  score_tile, softmax_tile,   mix_tile,  silu_of};

}  // namespace

const Dot* dot_neon() { return &kDot; }

}  // namespace ringside
#else
namespace ringside {
const Dot* dot_neon() { return nullptr; }
}  // namespace ringside
#endif
