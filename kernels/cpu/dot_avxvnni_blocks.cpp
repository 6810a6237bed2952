// AVX-VNNI (Intel's Alder Lake and later): int4 and the block formats of GGUF against int8, one
// instruction where AVX2 has three.
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <string.h>

#include <type_traits>

namespace ringside {
namespace {

constexpr bool kAddsFours = true;

#ifdef RINGSIDE_EMULATED_VNNI
// For the tests, on processors that don't have it.
inline __m256i pairs_of(__m128i u, __m128i q) {
  return _mm256_madd_epi16(_mm256_cvtepu8_epi16(u), _mm256_cvtepi8_epi16(q));
}
inline __m256i add_fours(__m256i sum, __m256i u, __m256i q) {
  const __m256i low = pairs_of(_mm256_castsi256_si128(u), _mm256_castsi256_si128(q));
  const __m256i high = pairs_of(_mm256_extracti128_si256(u, 1), _mm256_extracti128_si256(q, 1));
  const __m256i fours = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
  return _mm256_add_epi32(sum, fours);
}
#else
inline __m256i add_fours(__m256i sum, __m256i u, __m256i q) {
  return _mm256_dpbusd_avx_epi32(sum, u, q);
}
#endif

#include "dot_256_blocks.inc"

}  // namespace

void integer_panel_avxvnni(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                           int count) {
  integer_panel(out, out_stride, w, x, count);
}

void integer_rows_avxvnni(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                          int count) {
  integer_rows(out, out_stride, w, x, count);
}

}  // namespace ringside
#endif
