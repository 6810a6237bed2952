// AVX2 with FMA and F16C.
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <math.h>

namespace ringside {
namespace {

#include "dot_common.inc"

using Vec = __m256;
constexpr int kWidth = 8;
constexpr int kSpan = 2;  // 16 registers: 8 sums, 2 values, a weight
inline Vec load(const float* x) { return _mm256_loadu_ps(x); }
inline void store(float* x, Vec v) { _mm256_storeu_ps(x, v); }
inline Vec all(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }

#include "dot_tile.inc"

float reduce(__m256 x) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_shuffle_ps(sum, sum, 1)));
}

// One packed group (16 bytes) to 32 values 0..15 in the order of Activations::q.
__m256i unpack(const uint8_t* packed) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed));
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// Pairs of products stay below 2 * 15 * 127 = 3,810, far from saturating 16 bits.
__m256 group_dot(__m256i w, const int8_t* q) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
  const __m256i pairs = _mm256_maddubs_epi16(w, x);
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

void int4_row(float* out, int64_t out_stride, const uint8_t* weights, const uint16_t* scales,
              const Activations* x, int count, int cols) {
  const int groups = cols / 32;
  __m256 sum[kTile];
  float taken[kTile] = {};
  for (int i = 0; i < count; i++) sum[i] = _mm256_setzero_ps();
  for (int g = 0; g < groups; g++) {
    const __m256i w = unpack(weights + g * 16);
    const __m128 half = _mm_cvtph_ps(_mm_cvtsi32_si128(scales[g]));
    const float scale = _mm_cvtss_f32(half);
    for (int i = 0; i < count; i++) {
      const __m256 both =
          _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(x[i].scales + g * 8));
      sum[i] = _mm256_fmadd_ps(group_dot(w, x[i].q + g * 32), both, sum[i]);
      taken[i] += scale * x[i].corrections[g];
    }
  }
  for (int i = 0; i < count; i++) out[i * out_stride] = reduce(sum[i]) - taken[i];
}

// E4M3 to float: sign and the rest put where a half has them, then times 2^8, the difference of the
// biases (15 and 7). Exact, subnormals too; the two NaN patterns become 480, which no weight is.
__m256 f8_to_f32(const uint8_t* bytes) {
  const __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
  const __m128i sign = _mm_slli_epi16(_mm_and_si128(wide, _mm_set1_epi16(128)), 8);
  const __m128i rest = _mm_slli_epi16(_mm_and_si128(wide, _mm_set1_epi16(127)), 7);
  return _mm256_mul_ps(_mm256_cvtph_ps(_mm_or_si128(sign, rest)), _mm256_set1_ps(256.0f));
}

__m256 bf16_to_f32(const uint16_t* bits) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bits));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

__m256 f16_to_f32(const uint16_t* bits) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bits)));
}

#include "dot_rows.inc"

void quantize_group(int8_t* q, float* scales, float* correction, const float* x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 part[4], top = _mm256_setzero_ps();
  for (int i = 0; i < 4; i++) {
    part[i] = _mm256_loadu_ps(x + 8 * i);
    top = _mm256_max_ps(top, _mm256_andnot_ps(sign, part[i]));
  }
  alignas(32) float tops[8];
  _mm256_store_ps(tops, top);
  float most = 0.0f;
  for (int i = 0; i < 8; i++) most = tops[i] > most ? tops[i] : most;
  const float scale = most / 127.0f;
  const __m256 inverse = _mm256_set1_ps(scale == 0.0f ? 0.0f : 1.0f / scale);
  alignas(32) int32_t values[32];
  for (int i = 0; i < 4; i++) {
    const __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(part[i], inverse));
    _mm256_store_si256(reinterpret_cast<__m256i*>(values + 8 * i), rounded);
  }
  int sum = 0;
  for (int i = 0; i < 16; i++) {
    q[i] = int8_t(values[2 * i]);
    q[16 + i] = int8_t(values[2 * i + 1]);
    sum += values[2 * i] + values[2 * i + 1];
  }
  _mm256_storeu_ps(scales, _mm256_set1_ps(scale));
  *correction = scale * 8.0f * float(sum);
}

const Dot kDot = {"avx2",     int4_row,       f8_row,    bf16_row, f16_row,
                  f32_row,    quantize_group, scores_of, mix_into, exp_sum_of,
                  score_tile, softmax_tile,   mix_tile,  silu_of};

}  // namespace

const Dot* dot_avx2() { return &kDot; }

}  // namespace ringside
#else
namespace ringside {
const Dot* dot_avx2() { return nullptr; }
}  // namespace ringside
#endif
