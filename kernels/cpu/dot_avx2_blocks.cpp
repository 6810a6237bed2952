// AVX2: int4 and the block formats of GGUF against int8, two groups of 32 at once.
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <string.h>

#include <type_traits>

namespace ringside {
namespace {

float half_at(const uint8_t* bytes) {
  uint16_t bits;
  memcpy(&bits, bytes, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

struct Halves {
  __m256 low, high;
};

Halves halves_of(__m128i eight) {
  return {_mm256_cvtph_ps(_mm_unpacklo_epi16(eight, eight)),
          _mm256_cvtph_ps(_mm_unpackhi_epi16(eight, eight))};
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

Halves times(const Halves& x, const Halves& y) {
  return {_mm256_mul_ps(x.low, y.low), _mm256_mul_ps(x.high, y.high)};
}
Halves times(const Halves& x, float factor) {
  return times(x, Halves{_mm256_set1_ps(factor), _mm256_set1_ps(factor)});
}

Halves bytes_of(uint64_t eight, float factor) {
  const __m128i bytes = _mm_cvtsi64_si128(int64_t(eight));
  const __m128i twice = _mm_unpacklo_epi8(bytes, bytes);
  const __m256i high = _mm256_cvtepu8_epi32(_mm_srli_si128(twice, 8));
  return times({_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(twice)), _mm256_cvtepi32_ps(high)}, factor);
}

Halves signed_bytes_at(const uint8_t* bytes, float factor) {
  const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  const __m256i high = _mm256_cvtepi8_epi32(_mm_srli_si128(all, 8));
  return times({_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(all)), _mm256_cvtepi32_ps(high)}, factor);
}

__m256 times(__m256 x, __m256 y) { return _mm256_mul_ps(x, y); }
__m256 times(__m256 x, float factor) { return times(x, _mm256_set1_ps(factor)); }

#include "dot_blocks.inc"

// One value a group: of formats whose halves do not differ, half as much to take apart.
struct GroupLanes {
  using Values = __m256;
  static RINGSIDE_INLINE __m256 at(const uint8_t* bytes, int stride) {
    if (stride == 2)
      return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
    int16_t half[8];
    for (int g = 0; g < 8; g++) memcpy(half + g, bytes + g * stride, 2);
    return _mm256_cvtph_ps(
        _mm_set_epi16(half[7], half[6], half[5], half[4], half[3], half[2], half[1], half[0]));
  }
  static RINGSIDE_INLINE __m256 of(uint64_t low, uint64_t high) {
    return _mm256_cvtph_ps(_mm_set_epi64x(int64_t(high), int64_t(low)));
  }
  static RINGSIDE_INLINE __m256 bytes(uint64_t eight, float factor) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(int64_t(eight)));
    return times(_mm256_cvtepi32_ps(wide), factor);
  }
};

struct Pair {
  __m256i group[2];
};

__m256i load_256(const uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}
__m256i masked(__m256i bytes, char mask) { return _mm256_and_si256(bytes, _mm256_set1_epi8(mask)); }

// 16 bytes to [low, high] nibbles.
__m256i nibbles_of(const uint8_t* packed) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed));
  return masked(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), 15);
}

// 32 bytes to low nibbles and high nibbles.
Pair nibbles_of_run(const uint8_t* packed) {
  const __m256i bytes = load_256(packed);
  return {{masked(bytes, 15), masked(_mm256_srli_epi16(bytes, 4), 15)}};
}

// 16 where the bit of that number is set.
__m256i fifth_of(const uint8_t* bytes) {
  int32_t bits;
  memcpy(&bits, bytes, 4);
  const __m256i byte_of =
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), byte_of);
  const __m256i bit = _mm256_set1_epi64x(int64_t(0x8040201008040201));
  return masked(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit), 16);
}

// Int4, Q4_0, Q4_1
template <typename Format>
Pair unpack(Format, const uint8_t* at, int pair) {
  at += 2 * pair * Format::kBytes + Format::kQuants;
  return {{nibbles_of(at), nibbles_of(at + Format::kBytes)}};
}

Pair unpack(Q8_0, const uint8_t* at, int pair) {
  at += 2 * pair * Q8_0::kBytes + Q8_0::kQuants;
  return {{load_256(at), load_256(at + Q8_0::kBytes)}};
}

template <typename Format>
Pair unpack_fives(const uint8_t* at, int pair) {
  Pair groups;
  at += 2 * pair * Format::kBytes;
  for (int g = 0; g < 2; g++, at += Format::kBytes)
    groups.group[g] =
        _mm256_or_si256(nibbles_of(at + Format::kQuants), fifth_of(at + Format::kFifth));
  return groups;
}
Pair unpack(Q5_0, const uint8_t* at, int pair) { return unpack_fives<Q5_0>(at, pair); }
Pair unpack(Q5_1, const uint8_t* at, int pair) { return unpack_fives<Q5_1>(at, pair); }

Pair unpack(Q4_K, const uint8_t* at, int pair) {
  return nibbles_of_run(at + Q4_K::kQuants + 32 * pair);
}

Pair unpack(Q5_K, const uint8_t* at, int pair) {
  Pair groups = nibbles_of_run(at + Q5_K::kQuants + 32 * pair);
  const __m256i bits = _mm256_srli_epi16(load_256(at + Q5_K::kFifth), 2 * pair);
  groups.group[0] = _mm256_or_si256(groups.group[0], _mm256_slli_epi16(masked(bits, 1), 4));
  groups.group[1] = _mm256_or_si256(groups.group[1], _mm256_slli_epi16(masked(bits, 2), 3));
  return groups;
}

Pair unpack(Q6_K, const uint8_t* at, int pair) {
  const int half = pair / 2, run = pair % 2;
  const __m256i upper = _mm256_srli_epi16(load_256(at + Q6_K::kUpper + 32 * half), 4 * run);
  Pair groups;
  for (int g = 0; g < 2; g++) {
    const __m256i low = masked(_mm256_srli_epi16(load_256(at + 64 * half + 32 * g), 4 * run), 15);
    const __m256i two = masked(g == 0 ? upper : _mm256_srli_epi16(upper, 2), 3);
    groups.group[g] = _mm256_or_si256(low, _mm256_slli_epi16(two, 4));
  }
  return groups;
}

// u . q in lanes of four columns. Pairs of products stay below 2 * 63 * 127 = 16,002, far from
// saturating 16 bits. Signed weights take their sign off and put it on q: 2 * 128 * 127 = 32,512.
template <typename Format>
__m256 group_dot(__m256i u, const int8_t* quants) {
  __m256i q = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quants));
  if constexpr (Format::kSigned) {
    q = _mm256_sign_epi8(q, u);
    u = _mm256_abs_epi8(u);
  }
  const __m256i pairs = _mm256_maddubs_epi16(u, q);
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

float reduce(__m256 x) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_shuffle_ps(sum, sum, 1)));
}

// The lanes of even groups and of odd ones: a token alone waits for the addition before, and with
// one sum a chunk of 256 columns is a chain of nine.
struct Sum {
  __m256 of[2];
};

template <typename Format, int kCount, typename Pairs>
RINGSIDE_INLINE void add_chunk(Sum (&sum)[kCount], const Chunk& c, const Scales<GroupLanes>& s,
                               const Activations* x, Pairs pairs) {
  alignas(32) float scale[kCount][8];  // of a group of the row and of x: one factor
  for (int i = 0; i < kCount; i++) {
    if constexpr (!Format::kSigned)
      sum[i].of[1] =
          _mm256_fnmadd_ps(s.offset, _mm256_loadu_ps(x[i].group_sums + c.group), sum[i].of[1]);
    _mm256_store_ps(scale[i], times(s.scale, _mm256_loadu_ps(x[i].group_scales + c.group)));
  }
  for (int p = 0; p < pairs; p++) {
    const Pair u = unpack(Format{}, c.at, p);
    for (int g = 0; g < 2; g++)
      for (int i = 0; i < kCount; i++) {
        const __m256 dot =
            group_dot<Format>(u.group[g], quants_of<Format>(x[i], c) + 64 * p + 32 * g);
        const __m256 both = _mm256_broadcast_ss(scale[i] + 2 * p + g);
        sum[i].of[g] = _mm256_fmadd_ps(dot, both, sum[i].of[g]);
      }
  }
}

template <typename Format, int kCount, typename Pairs>
RINGSIDE_INLINE void add_chunk(Sum (&sum)[kCount], const Chunk& c, const Scales<HalfLanes>& s,
                               const Activations* x, Pairs pairs) {
  for (int i = 0; i < kCount; i++) {
    const float* sums = x[i].sums + 2 * c.group;
    sum[i].of[0] = _mm256_fnmadd_ps(s.offset.low, _mm256_loadu_ps(sums), sum[i].of[0]);
    sum[i].of[1] = _mm256_fnmadd_ps(s.offset.high, _mm256_loadu_ps(sums + 8), sum[i].of[1]);
  }
  alignas(32) float scale_of[16];
  _mm256_store_ps(scale_of, s.scale.low);
  _mm256_store_ps(scale_of + 8, s.scale.high);
  for (int p = 0; p < pairs; p++) {
    const Pair u = unpack(Format{}, c.at, p);
    for (int g = 0; g < 2; g++) {
      const float* halves = scale_of + 4 * p + 2 * g;
      const __m256 scale = _mm256_set_m128(_mm_broadcast_ss(halves + 1), _mm_broadcast_ss(halves));
      for (int i = 0; i < kCount; i++) {
        const __m256 own = _mm256_loadu_ps(x[i].scales + 8 * (c.group + 2 * p + g));
        const __m256 dot =
            group_dot<Format>(u.group[g], quants_of<Format>(x[i], c) + 64 * p + 32 * g);
        sum[i].of[g] = _mm256_fmadd_ps(dot, times(scale, own), sum[i].of[g]);
      }
    }
  }
}

template <typename Format>
template <int kCount>
void BlockTile<Format>::run() const {
  using Lanes = std::conditional_t<Format::kHalvesDiffer, HalfLanes, GroupLanes>;
  for (int r = 0; r < w.count; r++) {
    Sum sum[kCount];
    for (int i = 0; i < kCount; i++) sum[i].of[0] = sum[i].of[1] = _mm256_setzero_ps();
    add_row<Format, Lanes>(sum, w, r, x);
    for (int i = 0; i < kCount; i++)
      out[i * out_stride + r] = reduce(_mm256_add_ps(sum[i].of[0], sum[i].of[1]));
  }
}

// ---- panels ----

using Quants = __m256i;
using Sums = __m256;
constexpr int kPanelRows = 8, kTogether = 4;
constexpr bool kTakesSigned = true;

Sums zero() { return _mm256_setzero_ps(); }
Sums spread(float x) { return _mm256_set1_ps(x); }
Sums add_product(Sums a, Sums b, Sums c) { return _mm256_fmadd_ps(a, b, c); }
Sums sub_product(Sums a, Sums b, Sums c) { return _mm256_fnmadd_ps(a, b, c); }

#include "dot_avx2_turn.inc"

void turn_scales(Sums* to, const Halves (&of)[kPanelRows]) {
  __m256i low[8], high[8];
  for (int r = 0; r < 8; r++) {
    low[r] = _mm256_castps_si256(of[r].low);
    high[r] = _mm256_castps_si256(of[r].high);
  }
  transpose(low);
  transpose(high);
  for (int h = 0; h < 8; h++) {
    to[h] = _mm256_castsi256_ps(low[h]);
    to[8 + h] = _mm256_castsi256_ps(high[h]);
  }
}

template <typename Format>
void turn_pair(Quants* to, const uint8_t* const* at, int p) {
  Pair row[8];
  for (int r = 0; r < 8; r++) row[r] = unpack(Format{}, at[r], p);
  for (int g = 0; g < 2; g++) {
    __m256i x[8];
    for (int r = 0; r < 8; r++) x[r] = row[r].group[g];
    transpose(x);
    for (int k = 0; k < 8; k++) to[8 * g + k] = x[k];
  }
}

__m256i four_of(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return _mm256_set1_epi32(four);
}

// Before a loop that GCC would unroll whole, and then load all of before it adds: with 16 registers
// that is a store and a load a product.
#if defined(__GNUC__)
#define RINGSIDE_ROLLED _Pragma("GCC unroll 1")
#else
#define RINGSIDE_ROLLED
#endif

// Pairs of products are added up in 16 bits as long as they fit: eight of 2 * 15 * 127, four of
// 2 * 31 * 127, two of 2 * 63 * 127, and one of 2 * 128 * 127.
template <typename Format, int kSteps, int kCount>
RINGSIDE_INLINE void dots_of(Sums (&dot)[kCount], const Quants* u, const Activations* x, int c) {
  constexpr int kFit = 1 << (Format::kBits < 8 ? 7 - Format::kBits : 0);
  constexpr int kRun = kFit < kSteps ? kFit : kSteps;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum[kCount];
  for (int i = 0; i < kCount; i++) sum[i] = _mm256_setzero_si256();
  for (int k = 0; k < kSteps; k += kRun) {
    __m256i pairs[kCount];
    for (int i = 0; i < kCount; i++) pairs[i] = _mm256_setzero_si256();
    RINGSIDE_ROLLED
    for (int j = k; j < k + kRun; j++) {
      const __m256i weight = Format::kSigned ? _mm256_abs_epi8(u[j]) : u[j];
      for (int i = 0; i < kCount; i++) {
        __m256i q = four_of(quants_of<Format>(x[i]) + c + 4 * j);
        if constexpr (Format::kSigned) q = _mm256_sign_epi8(q, u[j]);
        pairs[i] = _mm256_add_epi16(pairs[i], _mm256_maddubs_epi16(weight, q));
      }
    }
    for (int i = 0; i < kCount; i++)
      sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs[i], ones));
  }
  for (int i = 0; i < kCount; i++) dot[i] = _mm256_cvtepi32_ps(sum[i]);
}

#include "dot_panels.inc"

}  // namespace

void integer_panel_avx2(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                        int count) {
  integer_panel(out, out_stride, w, x, count);
}

void integer_rows_avx2(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                       int count) {
  integer_rows(out, out_stride, w, x, count);
}

}  // namespace ringside
#endif
