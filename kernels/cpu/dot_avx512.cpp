// AVX-512 with BF16 (f8, bf16).
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
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline float reduce(Vec x) { return _mm512_reduce_add_ps(x); }

#include "dot_tile.inc"

__m512 f16_to_f32(__m256i bits) { return _mm512_cvtph_ps(bits); }
__m512 f16_to_f32(const uint16_t* bits) {
  return f16_to_f32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits)));
}

void store_f16(uint16_t* bits, __m512 x) {
  const __m512 most = _mm512_set1_ps(65504.0f), size = _mm512_abs_ps(x);
  // Not infinities, and not NaN, which no comparison finds.
  const __mmask16 beyond = _mm512_cmp_ps_mask(size, most, _CMP_GT_OQ) &
                           _mm512_cmp_ps_mask(size, _mm512_set1_ps(INFINITY), _CMP_LT_OQ);
  const __m512 sign = _mm512_and_ps(_mm512_set1_ps(-0.0f), x);
  const __m512 held = _mm512_mask_or_ps(x, beyond, most, sign);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(bits),
                      _mm512_cvtps_ph(held, _MM_FROUND_TO_NEAREST_INT));
}

#include "dot_count.inc"
#include "dot_halves.inc"
#include "dot_sums512.inc"

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

// Rows of weights that are exact in bfloat16, `group` columns with one scale; none: 1.
template <typename Weight, typename Load>
struct Bf16Tile {
  float* out;
  int64_t out_stride;
  const Rows& w;
  int group;
  const Activations* x;
  Load load;

  template <int kCount>
  void run() const {
    sum_rows<kCount>(out, out_stride, w.count, Bf16Tile(*this));  // a copy: its table in registers
  }

  template <int kCount>
  RINGSIDE_INLINE void sum_row(int r, __m512* sums) const {
    const auto* weights = reinterpret_cast<const Weight*>(w.data + r * w.bytes);
    const auto* scales = static_cast<const float*>(w.scales) + r * w.scale_step;
    __m512 total[kCount];
    for (int i = 0; i < kCount; i++) total[i] = _mm512_setzero_ps();
    for (int first = 0; first < w.cols; first += group) {
      const int end = w.cols - first < group ? w.cols : first + group;
      // Two sums each: with one, a token alone waits for the addition before.
      __m512 sum[kCount], other[kCount];
      for (int i = 0; i < kCount; i++) sum[i] = other[i] = _mm512_setzero_ps();
      int c = first;
      for (; c + 64 <= end; c += 64) {
        const __m512i a = load(weights + c, ~0u), b = load(weights + c + 32, ~0u);
        for (int i = 0; i < kCount; i++) {
          sum[i] = add_products(sum[i], a, _mm512_loadu_si512(x[i].bf16 + c));
          other[i] = add_products(other[i], b, _mm512_loadu_si512(x[i].bf16 + c + 32));
        }
      }
      for (; c < end; c += 32) {
        const __mmask32 mask = end - c >= 32 ? ~0u : (1u << (end - c)) - 1;
        const __m512i values = load(weights + c, mask);
        for (int i = 0; i < kCount; i++)
          sum[i] = add_products(sum[i], values, _mm512_maskz_loadu_epi16(mask, x[i].bf16 + c));
      }
      for (int i = 0; i < kCount; i++) sum[i] = _mm512_add_ps(sum[i], other[i]);
      const __m512 scale = _mm512_set1_ps(scales != nullptr ? scales[first / group] : 1.0f);
      for (int i = 0; i < kCount; i++) total[i] = _mm512_fmadd_ps(scale, sum[i], total[i]);
    }
    for (int i = 0; i < kCount; i++) sums[i] = total[i];
  }
};

void f8_rows(float* out, int64_t out_stride, const Rows& w, const Activations* x, int count) {
  static const LoadF8 load{make_f8_table()};
  by_count(count, Bf16Tile<uint8_t, LoadF8>{out, out_stride, w, w.group, x, load});
}

void bf16_rows(float* out, int64_t out_stride, const Rows& w, const Activations* x, int count) {
  by_count(count, Bf16Tile<uint16_t, LoadBf16>{out, out_stride, w, w.cols, x, {}});
}

struct F16Tile {
  float* out;
  int64_t out_stride;
  const Rows& w;
  const Activations* x;

  template <int kCount>
  void run() const {
    sum_rows<kCount>(out, out_stride, w.count, *this);
  }

  template <int kCount>
  RINGSIDE_INLINE void sum_row(int r, __m512* sums) const {
    const auto* weights = reinterpret_cast<const uint16_t*>(w.data + r * w.bytes);
    __m512 sum[kCount];
    for (int i = 0; i < kCount; i++) sum[i] = _mm512_setzero_ps();
    for (int c = 0; c < w.cols; c += 16) {
      const __mmask16 mask = __mmask16(w.cols - c >= 16 ? 0xffff : (1u << (w.cols - c)) - 1);
      const __m512 values = f16_to_f32(_mm256_maskz_loadu_epi16(mask, weights + c));
      for (int i = 0; i < kCount; i++)
        sum[i] = _mm512_fmadd_ps(values, _mm512_maskz_loadu_ps(mask, x[i].f32 + c), sum[i]);
    }
    for (int i = 0; i < kCount; i++) sums[i] = sum[i];
  }
};

void f16_rows(float* out, int64_t out_stride, const Rows& w, const Activations* x, int count) {
  by_count(count, F16Tile{out, out_stride, w, x});
}

// The order of Activations::paired: even columns, then odd ones.
void store_paired(int8_t* q, __m512i first, __m512i second) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q),
                   _mm512_cvtepi32_epi8(_mm512_permutex2var_epi32(first, even, second)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16),
                   _mm512_cvtepi32_epi8(_mm512_permutex2var_epi32(first, odd, second)));
}

void quantize_group(int8_t* q, float* scales, float* sums, const float* x, bool paired) {
  const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
  // As bits: those of NaN are the largest, where max_ps would lose it.
  const __m512i most = _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(a)),
                                        _mm512_castps_si512(_mm512_abs_ps(b)));
  const __m128i top = _mm_cvtsi32_si128(_mm512_reduce_max_epi32(most));
  const float scale = _mm_cvtss_f32(_mm_castsi128_ps(top)) / 127.0f;
  const __m512 inverse = _mm512_set1_ps(scale == 0.0f ? 0.0f : 1.0f / scale);
  const __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
  const __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  if (paired) {
    store_paired(q, qa, qb);
  } else {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16), _mm512_cvtepi32_epi8(qb));
  }
  _mm256_storeu_ps(scales, _mm256_set1_ps(scale));
  sums[0] = scale * float(_mm512_reduce_add_epi32(qa));
  sums[1] = scale * float(_mm512_reduce_add_epi32(qb));
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
      return integer_rows_avx512(out, out_stride, w, x, count);
  }
}

// Of the integers' least: with 5 rows of x a panel takes 0.6 to 0.9 times as long as its rows
// alone, with 256 it takes 0.25 to 0.4 times (Zen 4, 256 to 8,960 columns).
const Dot kDot = {"avx512",     true,           rows,         {16, 5, integer_panel_avx512},
                  {},           quantize_group, scores_of,    mix_into,
                  exp_sum_of,   score_tile,     softmax_tile, mix_tile,
                  silu_of,      gelu_of,        score_halves, mix_halves,
                  widen_halves, narrow_floats};

}  // namespace

const Dot* dot_avx512() { return &kDot; }

}  // namespace ringside
#else
namespace ringside {
const Dot* dot_avx512() { return nullptr; }
}  // namespace ringside
#endif
