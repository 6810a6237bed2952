// AVX-512 with VNNI: int4 and the block formats of GGUF against int8, 64 columns at once.
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <string.h>

#include <type_traits>

namespace ringside {
namespace {

#include "dot_sums512.inc"

float half_at(const uint8_t* bytes) {
  uint16_t bits;
  memcpy(&bits, bytes, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

using Halves = __m512;

Halves halves_of(__m128i eight) {
  return _mm512_cvtph_ps(
      _mm256_set_m128i(_mm_unpackhi_epi16(eight, eight), _mm_unpacklo_epi16(eight, eight)));
}

Halves halves_of(uint64_t low, uint64_t high) {
  return halves_of(_mm_set_epi64x(int64_t(high), int64_t(low)));
}

Halves halves_at(const uint8_t* bytes, int stride) {
  if (stride == 2) return halves_of(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  int16_t half[8];
  for (int g = 0; g < 8; g++) memcpy(half + g, bytes + g * stride, 2);
  return halves_of(
      _mm_set_epi16(half[7], half[6], half[5], half[4], half[3], half[2], half[1], half[0]));
}

Halves bytes_of(uint64_t eight, float factor) {
  const __m128i bytes = _mm_cvtsi64_si128(int64_t(eight));
  const __m512i values = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(bytes, bytes));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(values), _mm512_set1_ps(factor));
}

Halves signed_bytes_at(const uint8_t* bytes, float factor) {
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(values)), _mm512_set1_ps(factor));
}

Halves times(Halves x, float factor) { return _mm512_mul_ps(x, _mm512_set1_ps(factor)); }
Halves times(Halves x, Halves y) { return _mm512_mul_ps(x, y); }

#include "dot_blocks.inc"

__m128i load_128(const uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}
__m256i load_256(const uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// `low` in the lower 256 bits, `high` in the upper, in every 16 bits: what to shift by.
__m512i by_half(short low, short high) {
  return _mm512_inserti64x4(_mm512_set1_epi16(low), _mm256_set1_epi16(high), 1);
}

// Two groups of 16 bytes to [low a, high a, low b, high b], 16 nibbles each.
__m512i nibbles_of(__m256i two) {
  const __m512i order = _mm512_set_epi64(3, 2, 3, 2, 1, 0, 1, 0);
  const __m512i twice = _mm512_permutexvar_epi64(order, _mm512_castsi256_si512(two));
  const __m512i high = _mm512_set_epi64(4 * 0x0001000100010001, 4 * 0x0001000100010001, 0, 0,
                                        4 * 0x0001000100010001, 4 * 0x0001000100010001, 0, 0);
  return _mm512_and_si512(_mm512_srlv_epi16(twice, high), _mm512_set1_epi8(15));
}

// 32 bytes to [low, high] nibbles.
__m512i nibbles_of_run(const uint8_t* bytes) {
  const __m512i twice = _mm512_broadcast_i64x4(load_256(bytes));
  return _mm512_and_si512(_mm512_srlv_epi16(twice, by_half(0, 4)), _mm512_set1_epi8(15));
}

__m512i add_fifth(__m512i nibbles, __mmask64 fifth) {
  return _mm512_mask_add_epi8(nibbles, fifth, nibbles, _mm512_set1_epi8(16));
}

__m512i unpack(Int4, const uint8_t* at, int pair) { return nibbles_of(load_256(at + 32 * pair)); }

// Q4_0, Q4_1
template <typename Format>
__m512i unpack(Format, const uint8_t* at, int pair) {
  at += 2 * pair * Format::kBytes + Format::kQuants;
  return nibbles_of(_mm256_set_m128i(load_128(at + Format::kBytes), load_128(at)));
}

__m512i unpack(Q8_0, const uint8_t* at, int pair) {
  at += 2 * pair * Q8_0::kBytes + Q8_0::kQuants;
  const __m512i both =
      _mm512_inserti64x4(_mm512_castsi256_si512(load_256(at)), load_256(at + Q8_0::kBytes), 1);
  return _mm512_xor_si512(both, _mm512_set1_epi8(-128));
}

template <typename Format>
__m512i unpack_fives(const uint8_t* at, int pair) {
  at += 2 * pair * Format::kBytes;
  uint32_t low, high;
  memcpy(&low, at + Format::kFifth, 4);
  memcpy(&high, at + Format::kBytes + Format::kFifth, 4);
  at += Format::kQuants;
  const __m256i two = _mm256_set_m128i(load_128(at + Format::kBytes), load_128(at));
  return add_fifth(nibbles_of(two), uint64_t(high) << 32 | low);
}
__m512i unpack(Q5_0, const uint8_t* at, int pair) { return unpack_fives<Q5_0>(at, pair); }
__m512i unpack(Q5_1, const uint8_t* at, int pair) { return unpack_fives<Q5_1>(at, pair); }

__m512i unpack(Q4_K, const uint8_t* at, int pair) {
  return nibbles_of_run(at + Q4_K::kQuants + 32 * pair);
}

__m512i unpack(Q5_K, const uint8_t* at, int pair) {
  const __m512i fifth = _mm512_broadcast_i64x4(load_256(at + Q5_K::kFifth));
  const __m512i bit = _mm512_slli_epi16(by_half(0x0101, 0x0202), unsigned(2 * pair));
  return add_fifth(nibbles_of_run(at + Q5_K::kQuants + 32 * pair),
                   _mm512_test_epi8_mask(fifth, bit));
}

__m512i unpack(Q6_K, const uint8_t* at, int pair) {
  const int half = pair / 2, run = pair % 2;
  const __m512i bytes = _mm512_loadu_si512(at + 64 * half);
  const __m512i low =
      _mm512_and_si512(_mm512_srli_epi16(bytes, unsigned(4 * run)), _mm512_set1_epi8(15));
  const __m512i upper = _mm512_broadcast_i64x4(load_256(at + Q6_K::kUpper + 32 * half));
  const __m512i shift = by_half(short(4 * run), short(4 * run + 2));
  const __m512i two = _mm512_and_si512(_mm512_srlv_epi16(upper, shift), _mm512_set1_epi8(3));
  return _mm512_or_si512(low, _mm512_slli_epi16(two, 4));
}

// The lanes of even pairs of groups and of odd ones: a token alone waits for the addition before.
// At the end of a row all are even: what a number chosen at run time names would lie in memory.
struct Sum {
  __m512 of[2];
};

template <typename Format, int kCount, typename Pairs>
RINGSIDE_INLINE void add_chunk(Sum (&sum)[kCount], const Chunk& c, const Scales<HalfLanes>& s,
                               const Activations* x, Pairs pairs) {
  const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  __m512 scale[kCount];  // of a half group of the row and of x: one factor
  for (int i = 0; i < kCount; i++) {
    const __m512 own = _mm512_castps256_ps512(_mm256_loadu_ps(x[i].group_scales + c.group));
    scale[i] = _mm512_mul_ps(s.scale, _mm512_permutexvar_ps(twice, own));
    sum[i].of[1] =
        _mm512_fnmadd_ps(s.offset, _mm512_loadu_ps(x[i].sums + 2 * c.group), sum[i].of[1]);
  }
  // Lanes of four columns each: a half group is four of them.
  __m512i lane = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  for (int p = 0; p < pairs; p++) {
    const __m512i u = unpack(Format{}, c.at, p);
    for (int i = 0; i < kCount; i++) {
      const __m512i q = _mm512_loadu_si512(quants_of<Format>(x[i], c) + 64 * p);
      const __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), u, q));
      __m512& to = sum[i].of[std::is_same_v<Pairs, AllPairs> ? p % 2 : 0];
      to = _mm512_fmadd_ps(dot, _mm512_permutexvar_ps(lane, scale[i]), to);
    }
    lane = _mm512_add_epi32(lane, _mm512_set1_epi32(4));
  }
}

template <typename Format>
struct RowSums {
  const Rows& w;
  const Activations* x;

  template <int kCount>
  RINGSIDE_INLINE void sum_row(int r, __m512* sums) const {
    Sum sum[kCount];
    for (Sum& each : sum) each.of[0] = each.of[1] = _mm512_setzero_ps();
    add_row<Format, HalfLanes>(sum, w, r, x);
    for (int i = 0; i < kCount; i++) sums[i] = _mm512_add_ps(sum[i].of[0], sum[i].of[1]);
  }
};

template <typename Format>
template <int kCount>
void BlockTile<Format>::run() const {
  sum_rows<kCount>(out, out_stride, w.count, RowSums<Format>{w, x});
}

// ---- panels ----

using Quants = __m512i;
using Sums = __m512;
constexpr int kPanelRows = 16, kTogether = 8;
constexpr bool kTakesSigned = false;

Sums zero() { return _mm512_setzero_ps(); }
Sums spread(float x) { return _mm512_set1_ps(x); }
Sums add_product(Sums a, Sums b, Sums c) { return _mm512_fmadd_ps(a, b, c); }
Sums sub_product(Sums a, Sums b, Sums c) { return _mm512_fnmadd_ps(a, b, c); }

// Dword j of x[i] becomes dword i of x[j].
void transpose(__m512i (&x)[16]) {
  __m512i y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
  // x[4b + c] holds in its quarter l dwords 4l + c of rows 4b .. 4b + 3.
  for (int c = 0; c < 4; c++) {
    const __m512i even_low = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88);
    const __m512i even_high = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
    const __m512i odd_high = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
    y[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    y[4 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    y[8 + c] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    y[12 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
  for (int i = 0; i < 16; i++) x[i] = y[i];
}

void turn_scales(Sums* to, const Halves (&of)[kPanelRows]) {
  __m512i x[16];
  for (int r = 0; r < 16; r++) x[r] = _mm512_castps_si512(of[r]);
  transpose(x);
  for (int h = 0; h < 16; h++) to[h] = _mm512_castsi512_ps(x[h]);
}

template <typename Format>
void turn_pair(Quants* to, const uint8_t* const* at, int p) {
  __m512i x[16];
  for (int r = 0; r < 16; r++) x[r] = unpack(Format{}, at[r], p);
  transpose(x);
  for (int k = 0; k < 16; k++) to[k] = x[k];
}

__m512i four_of(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return _mm512_set1_epi32(four);
}

template <typename Format, int kSteps, int kCount>
RINGSIDE_INLINE void dots_of(Sums (&dot)[kCount], const Quants* u, const Activations* x, int c) {
  __m512i sum[kCount];
  for (int i = 0; i < kCount; i++) sum[i] = _mm512_setzero_si512();
  for (int k = 0; k < kSteps; k++)
    for (int i = 0; i < kCount; i++)
      sum[i] = _mm512_dpbusd_epi32(sum[i], u[k], four_of(quants_of<Format>(x[i]) + c + 4 * k));
  for (int i = 0; i < kCount; i++) dot[i] = _mm512_cvtepi32_ps(sum[i]);
}

#include "dot_panels.inc"

}  // namespace

void integer_panel_avx512(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                          int count) {
  integer_panel(out, out_stride, w, x, count);
}

void integer_rows_avx512(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                         int count) {
  integer_rows(out, out_stride, w, x, count);
}

}  // namespace ringside
#endif
