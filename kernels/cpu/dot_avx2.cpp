// AVX2 with FMA and F16C.
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <math.h>
#include <string.h>

namespace ringside {
namespace {

#include "dot_common.inc"

using Vec = __m256;
constexpr int kWidth = 8;
constexpr int kSpan = 2;  // 16 registers: 8 sums, 2 values, a weight
inline Vec load(const float* x) { return _mm256_loadu_ps(x); }
inline void store(float* x, Vec v) { _mm256_storeu_ps(x, v); }
inline Vec all(float x) { return _mm256_set1_ps(x); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }

#include "dot_256.inc"
#include "dot_tile.inc"

// See dot_rows.inc. What extends the sign by eight bits leaves one too many behind the shift.
__m256 f8_to_f32(const uint8_t* bytes) {
  const __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
  return _mm256_cvtph_ps(_mm_andnot_si128(_mm_set1_epi16(0x4000), _mm_slli_epi16(wide, 7)));
}

void two_f8_to_f32(__m256& low, __m256& high, const uint8_t* bytes) {
  const __m256i wide =
      _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  const __m256i halves = _mm256_andnot_si256(_mm256_set1_epi16(0x4000), _mm256_slli_epi16(wide, 7));
  low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  high = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

__m256 bf16_to_f32(const uint16_t* bits) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bits));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

__m256 f16_to_f32(const uint16_t* bits) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bits)));
}

// Infinities are not beyond what is finite, and NaN, which no comparison finds, is not either.
void store_f16(uint16_t* bits, __m256 x) {
  const __m256 most = _mm256_set1_ps(65504.0f), infinite = _mm256_set1_ps(INFINITY);
  const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
  const __m256 sign = _mm256_and_ps(_mm256_set1_ps(-0.0f), x);
  const __m256 beyond = _mm256_and_ps(_mm256_cmp_ps(size, most, _CMP_GT_OQ),
                                      _mm256_cmp_ps(size, infinite, _CMP_LT_OQ));
  const __m256 held = _mm256_blendv_ps(x, _mm256_or_ps(most, sign), beyond);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bits),
                   _mm256_cvtps_ph(held, _MM_FROUND_TO_NEAREST_INT));
}

#include "dot_halves.inc"
#include "dot_rows.inc"

constexpr int kTokens = 6;  // 16 registers: 12 sums, 2 of weights, a value of x
void turn(Vec (&x)[kWidth]) {
  __m256i y[8];
  for (int i = 0; i < 8; i++) y[i] = _mm256_castps_si256(x[i]);
  transpose(y);
  for (int i = 0; i < 8; i++) x[i] = _mm256_castsi256_ps(y[i]);
}

#include "dot_float_panels.inc"

int sum_of(__m256i x) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1)));
}

// Of magnitudes, as their bits: those of NaN are the largest, where max_ps would lose it.
float largest_of(__m256i x) {
  __m128i top = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  top = _mm_max_epi32(top, _mm_unpackhi_epi64(top, top));
  top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 1));
  return _mm_cvtss_f32(_mm_castsi128_ps(top));
}

void quantize_group(int8_t* q, float* scales, float* sums, const float* x, bool paired) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 part[4];
  __m256i top = _mm256_setzero_si256();
  for (int i = 0; i < 4; i++) {
    part[i] = _mm256_loadu_ps(x + 8 * i);
    top = _mm256_max_epi32(top, _mm256_castps_si256(_mm256_andnot_ps(sign, part[i])));
  }
  const float scale = largest_of(top) / 127.0f;
  const __m256 inverse = _mm256_set1_ps(scale == 0.0f ? 0.0f : 1.0f / scale);
  __m256i values[4];
  for (int i = 0; i < 4; i++) values[i] = _mm256_cvtps_epi32(_mm256_mul_ps(part[i], inverse));
  // Packed lane by lane, so that fours of bytes end up in the order 0 2 4 6 1 3 5 7.
  __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(values[0], values[1]),
                                     _mm256_packs_epi32(values[2], values[3]));
  bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
  if (paired) {
    const __m256i even_first = _mm256_broadcastsi128_si256(
        _mm_set_epi8(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0));
    bytes = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(bytes, even_first), 0xd8);
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), bytes);
  _mm256_storeu_ps(scales, _mm256_set1_ps(scale));
  for (int h = 0; h < 2; h++)
    sums[h] = scale * float(sum_of(_mm256_add_epi32(values[2 * h], values[2 * h + 1])));
}

using Product = decltype(Dot::rows);

template <Product kIntegerRows>
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
      return kIntegerRows(out, out_stride, w, x, count);
  }
}

// Of `least`: with 12 rows of x panels take 0.7 to 1.0 times as long as rows alone (f32 0.4 to
// 0.5); with 256, integers take 0.5 to 0.9 times, floats 0.25 to 0.55 (Zen 3, 256 to 8,960
// columns).
constexpr Dot table(const char* name, Product product, const Panels& integers) {
  return {name,           false,        product,      integers,   {kFloatRows, 12, float_panel},
          quantize_group, scores_of,    mix_into,     exp_sum_of, score_tile,
          softmax_tile,   mix_tile,     silu_of,      gelu_of,    score_halves,
          mix_halves,     widen_halves, narrow_floats};
}

constexpr Dot kAvx2 = table("avx2", rows<integer_rows_avx2>, {8, 12, integer_panel_avx2});
// Its `least` is AVX2's, not measured: no machine with it was at hand.
constexpr Dot kAvxVnni =
    table("avxvnni", rows<integer_rows_avxvnni>, {8, 12, integer_panel_avxvnni});

}  // namespace

const Dot* dot_avx2() { return &kAvx2; }
const Dot* dot_avxvnni() { return &kAvxVnni; }

}  // namespace ringside
#else
namespace ringside {
const Dot* dot_avx2() { return nullptr; }
const Dot* dot_avxvnni() { return nullptr; }
}  // namespace ringside
#endif
