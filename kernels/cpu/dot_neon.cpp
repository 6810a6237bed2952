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
inline Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }

#include "dot_tile.inc"

float reduce(float32x4_t x) { return vaddvq_f32(x); }

// See dot_rows.inc.
float32x4_t f8_to_f32(const uint8_t* bytes) {
  uint16_t bits[4];
  for (int i = 0; i < 4; i++) bits[i] = uint16_t((bytes[i] & 128) << 8 | (bytes[i] & 127) << 7);
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits)));
}

void two_f8_to_f32(float32x4_t& low, float32x4_t& high, const uint8_t* bytes) {
  const uint16x8_t wide =
      vreinterpretq_u16_s16(vmovl_s8(vld1_s8(reinterpret_cast<const int8_t*>(bytes))));
  const uint16x8_t halves = vbicq_u16(vshlq_n_u16(wide, 7), vdupq_n_u16(0x4000));
  low = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(halves)));
  high = vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(halves)));
}

float32x4_t bf16_to_f32(const uint16_t* bits) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(bits), 16));
}

float32x4_t f16_to_f32(const uint16_t* bits) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits)));
}

void store_f16(uint16_t* bits, float32x4_t x) {
  const float32x4_t most = vdupq_n_f32(65504.0f), size = vabsq_f32(x);
  // Not infinities, and not NaN, which no comparison finds.
  const uint32x4_t beyond =
      vandq_u32(vcgtq_f32(size, most), vcltq_f32(size, vdupq_n_f32(INFINITY)));
  const float32x4_t held = vbslq_f32(beyond, vbslq_f32(vdupq_n_u32(0x80000000u), x, most), x);
  vst1_u16(bits, vreinterpret_u16_f16(vcvt_f16_f32(held)));
}

#include "dot_halves.inc"
#include "dot_rows.inc"

void quantize_group(int8_t* q, float* scales, float* sums, const float* x, bool paired) {
  float32x4_t top = vdupq_n_f32(0.0f);
  for (int i = 0; i < 32; i += 4) top = vmaxq_f32(top, vabsq_f32(vld1q_f32(x + i)));
  const float scale = vmaxvq_f32(top) / 127.0f;
  const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
  int32_t values[32];
  for (int i = 0; i < 32; i += 4)
    vst1q_s32(values + i, vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse)));
  int32_t sum[2] = {};
  for (int i = 0; i < 32; i++) {
    q[paired ? i / 2 + i % 2 * 16 : i] = int8_t(values[i]);
    sum[i / 16] += values[i];
  }
  for (int i = 0; i < 8; i++) scales[i] = scale;
  for (int h = 0; h < 2; h++) sums[h] = scale * float(sum[h]);
}

void rows(float* out, int64_t out_stride, const Rows& w, const Activations* x, int count) {
  switch (w.type) {
    case Type::f32:
      return f32_rows(out, out_stride, w, x, count);
    case Type::f16:
      return f16_rows(out, out_stride, w, x, count);
    case Type::bf16:
      return bf16_rows(out, out_stride, w, x, count);
    case Type::f8:
      return f8_rows(out, out_stride, w, x, count);
    default:
      return integer_rows_neon(out, out_stride, w, x, count);
  }
}

const Dot kDot = {"neon",    false,    rows,         {},         {},           quantize_group,
                  scores_of, mix_into, exp_sum_of,   score_tile, softmax_tile, mix_tile,
                  silu_of,   gelu_of,  score_halves, mix_halves, widen_halves, narrow_floats};

}  // namespace

const Dot* dot_neon() { return &kDot; }

}  // namespace ringside
#else
namespace ringside {
const Dot* dot_neon() { return nullptr; }
}  // namespace ringside
#endif
