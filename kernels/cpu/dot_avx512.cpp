// AVX-512 with VNNI (int4 x int8) and BF16 (f8, bf16).
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <math.h>

namespace ringside {
namespace {

#include "dot_common.inc"

using Vec = __m512;
constexpr int kWidth = 16;
constexpr int kSpan = 4;  // 32 registers: 16 sums, 4 values, a weight
inline Vec load(const float* x) { return _mm512_loadu_ps(x); }
inline void store(float* x, Vec v) { _mm512_storeu_ps(x, v); }
inline Vec all(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }

#include "dot_tile.inc"

__m512 f16_to_f32(__m256i bits) { return _mm512_cvtph_ps(bits); }

// Two packed groups (32 bytes) to 64 values 0..15: [low g0, high g0, low g1, high g1], 16 bytes
// each, which is the order of Activations::q.
__m512i unpack_pair(const uint8_t* packed) {
  const __m256i two = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed));
  const __m512i order = _mm512_set_epi64(3, 2, 3, 2, 1, 0, 1, 0);
  const __m512i twice = _mm512_permutexvar_epi64(order, _mm512_castsi256_si512(two));
  const __m512i high = _mm512_set_epi64(4 * 0x0001000100010001, 4 * 0x0001000100010001, 0, 0,
                                        4 * 0x0001000100010001, 4 * 0x0001000100010001, 0, 0);
  return _mm512_and_si512(_mm512_srlv_epi16(twice, high), _mm512_set1_epi8(15));
}

// The sums of the lanes of a, b, c and d, times scale. Four at once share their shuffles: summing
// each alone took longer than the products themselves where a row has 256 columns (int4 at 8192 x
// 256, n = 256: 35 GFLOP/s alone, 59 by fours).
__m128 sums_of(__m512 a, __m512 b, __m512 c, __m512 d, float scale) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all =
      _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  return _mm_mul_ps(four, _mm_set1_ps(scale));
}

// out[i * out_stride] = scale * sum of the lanes of sum[i], count <= kTile. Fewer than four take
// the same way, so that a product does not depend on how many are computed at once.
template <int kCount>
void store_sums(float* out, int64_t out_stride, const __m512* sum, float scale) {
  const __m512 none = _mm512_setzero_ps();
  alignas(16) float sums[4];
  _mm_store_ps(sums, sums_of(sum[0], kCount > 1 ? sum[1] : none, kCount > 2 ? sum[2] : none,
                             kCount > 3 ? sum[3] : none, scale));
  for (int i = 0; i < kCount; i++) out[i * out_stride] = sums[i];
}

// Unpacked values are 8 too large: what that adds to each group is taken away with the corrections,
// 16 groups at a time, instead of in every product.
template <int kCount>
void int4_tile(float* out, int64_t out_stride, const uint8_t* weights, const uint16_t* scales,
               const Activations* x, int cols) {
  const int groups = cols / 32;
  __m512 sum[kCount];
  for (int i = 0; i < kCount; i++) sum[i] = _mm512_setzero_ps();
  for (int base = 0; base < groups; base += 16) {
    const int here = groups - base < 16 ? groups - base : 16;
    const __mmask16 mask = __mmask16((1u << here) - 1);
    const __m512 scale = f16_to_f32(_mm256_maskz_loadu_epi16(mask, scales + base));
    for (int i = 0; i < kCount; i++)
      sum[i] = _mm512_fnmadd_ps(scale, _mm512_loadu_ps(x[i].corrections + base), sum[i]);
    alignas(64) float scale_of[16];
    _mm512_store_ps(scale_of, scale);
    int g = 0;
    for (; g + 2 <= here; g += 2) {
      const __m512i w = unpack_pair(weights + (base + g) * 16);
      const __m512 pair =
          _mm512_insertf32x8(_mm512_set1_ps(scale_of[g]), _mm256_set1_ps(scale_of[g + 1]), 1);
      for (int i = 0; i < kCount; i++) {
        const __m512i q = _mm512_loadu_si512(x[i].q + (base + g) * 32);
        const __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w, q));
        const __m512 both = _mm512_mul_ps(pair, _mm512_loadu_ps(x[i].scales + (base + g) * 8));
        sum[i] = _mm512_fmadd_ps(dot, both, sum[i]);
      }
    }
    if (g == here) continue;
    const __m128i last =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + (base + g) * 16));
    const __m256i w =
        _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(last, 4), last), _mm256_set1_epi8(15));
    for (int i = 0; i < kCount; i++) {
      const __m256i q =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x[i].q + (base + g) * 32));
      const __m256 dot = _mm256_cvtepi32_ps(_mm256_dpbusd_epi32(_mm256_setzero_si256(), w, q));
      const __m256 both =
          _mm256_mul_ps(_mm256_set1_ps(scale_of[g]), _mm256_loadu_ps(x[i].scales + (base + g) * 8));
      sum[i] = _mm512_add_ps(sum[i], _mm512_zextps256_ps512(_mm256_mul_ps(dot, both)));
    }
  }
  store_sums<kCount>(out, out_stride, sum, 1.0f);
}

// Calls tile.run<count>(): with the count known, the sums stay in registers.
template <typename Tile>
void by_count(int count, const Tile& tile) {
  switch (count) {
    case 4:
      return tile.template run<4>();
    case 3:
      return tile.template run<3>();
    case 2:
      return tile.template run<2>();
    default:
      return tile.template run<1>();
  }
}

struct Int4Tile {
  float* out;
  int64_t out_stride;
  const uint8_t* weights;
  const uint16_t* scales;
  const Activations* x;
  int cols;

  template <int kCount>
  void run() const {
    int4_tile<kCount>(out, out_stride, weights, scales, x, cols);
  }
};

void int4_row(float* out, int64_t out_stride, const uint8_t* weights, const uint16_t* scales,
              const Activations* x, int count, int cols) {
  by_count(count, Int4Tile{out, out_stride, weights, scales, x, cols});
}

// The bfloat16 bits of the 128 non-negative E4M3 values, as 4 registers of 32.
struct F8Table {
  __m512i part[4];
};

F8Table make_f8_table() {
  alignas(64) uint16_t values[128];
  for (int bits = 0; bits < 128; bits++) {
    const int exponent = bits >> 3, fraction = bits & 7;
    Bits value;
    if (exponent == 0) {
      value.f = float(fraction) / 512.0f;
    } else {
      value.i = ((exponent - 7 + 127) << 23) | (fraction << 20);
    }
    if (bits == 127) value.i = 0x7fc00000;  // NaN
    values[bits] = uint16_t(uint32_t(value.i) >> 16);
  }
  F8Table table;
  for (int i = 0; i < 4; i++) table.part[i] = _mm512_load_si512(values + 32 * i);
  return table;
}

__m512i f8_to_bf16(const F8Table& table, __m256i bytes) {
  const __m512i wide = _mm512_cvtepu8_epi16(bytes);
  const __m512i low = _mm512_permutex2var_epi16(table.part[0], wide, table.part[1]);
  const __m512i high = _mm512_permutex2var_epi16(table.part[2], wide, table.part[3]);
  const __mmask32 upper = _mm512_test_epi16_mask(wide, _mm512_set1_epi16(64));
  const __m512i value = _mm512_mask_blend_epi16(upper, low, high);
  const __m512i sign = _mm512_slli_epi16(_mm512_and_si512(wide, _mm512_set1_epi16(128)), 8);
  return _mm512_or_si512(value, sign);
}

__m512 add_products(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

struct LoadF8 {
  F8Table table;
  __m512i operator()(const uint8_t* weights, __mmask32 mask) const {
    return f8_to_bf16(table, _mm256_maskz_loadu_epi8(mask, weights));
  }
};

struct LoadBf16 {
  __m512i operator()(const uint16_t* weights, __mmask32 mask) const {
    return _mm512_maskz_loadu_epi16(mask, weights);
  }
};

// A row of weights that are exact in bfloat16.
template <typename Weight, typename Load>
struct Bf16Tile {
  float* out;
  int64_t out_stride;
  const Weight* weights;
  float scale;
  const Activations* x;
  int cols;
  const Load& shared_load;

  template <int kCount>
  void run() const {
    const Load load = shared_load;  // a copy, so that a table stays in registers
    __m512 sum[kCount];
    for (int i = 0; i < kCount; i++) sum[i] = _mm512_setzero_ps();
    for (int c = 0; c < cols; c += 32) {
      const __mmask32 mask = cols - c >= 32 ? ~0u : (1u << (cols - c)) - 1;
      const __m512i w = load(weights + c, mask);
      for (int i = 0; i < kCount; i++)
        sum[i] = add_products(sum[i], w, _mm512_maskz_loadu_epi16(mask, x[i].bf16 + c));
    }
    store_sums<kCount>(out, out_stride, sum, scale);
  }
};

void f8_row(float* out, int64_t out_stride, const uint8_t* weights, float scale,
            const Activations* x, int count, int cols) {
  static const LoadF8 load{make_f8_table()};
  by_count(count, Bf16Tile<uint8_t, LoadF8>{out, out_stride, weights, scale, x, cols, load});
}

void bf16_row(float* out, int64_t out_stride, const uint16_t* weights, const Activations* x,
              int count, int cols) {
  const LoadBf16 load;
  by_count(count, Bf16Tile<uint16_t, LoadBf16>{out, out_stride, weights, 1.0f, x, cols, load});
}

struct F16Tile {
  float* out;
  int64_t out_stride;
  const uint16_t* weights;
  const Activations* x;
  int cols;

  template <int kCount>
  void run() const {
    __m512 sum[kCount];
    for (int i = 0; i < kCount; i++) sum[i] = _mm512_setzero_ps();
    for (int c = 0; c < cols; c += 16) {
      const __mmask16 mask = __mmask16(cols - c >= 16 ? 0xffff : (1u << (cols - c)) - 1);
      const __m512 w = f16_to_f32(_mm256_maskz_loadu_epi16(mask, weights + c));
      for (int i = 0; i < kCount; i++)
        sum[i] = _mm512_fmadd_ps(w, _mm512_maskz_loadu_ps(mask, x[i].f32 + c), sum[i]);
    }
    store_sums<kCount>(out, out_stride, sum, 1.0f);
  }
};

void f16_row(float* out, int64_t out_stride, const uint16_t* weights, const Activations* x,
             int count, int cols) {
  by_count(count, F16Tile{out, out_stride, weights, x, cols});
}

void quantize_group(int8_t* q, float* scales, float* correction, const float* x) {
  const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
  const float scale =
      _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b))) / 127.0f;
  const __m512 inverse = _mm512_set1_ps(scale == 0.0f ? 0.0f : 1.0f / scale);
  const __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
  const __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q),
                   _mm512_cvtepi32_epi8(_mm512_permutex2var_epi32(qa, even, qb)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16),
                   _mm512_cvtepi32_epi8(_mm512_permutex2var_epi32(qa, odd, qb)));
  _mm256_storeu_ps(scales, _mm256_set1_ps(scale));
  *correction = scale * 8.0f * float(_mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb)));
}

const Dot kDot = {"avx512",   int4_row,       f8_row,    bf16_row, f16_row,
                  f32_row,    quantize_group, scores_of, mix_into, exp_sum_of,
                  score_tile, softmax_tile,   mix_tile,  silu_of};

}  // namespace

const Dot* dot_avx512() { return &kDot; }

}  // namespace ringside
#else
namespace ringside {
const Dot* dot_avx512() { return nullptr; }
}  // namespace ringside
#endif
