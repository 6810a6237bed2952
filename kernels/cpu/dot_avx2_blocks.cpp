// AVX2: int4 and the block formats of GGUF against int8.
#include "dot.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <string.h>

#include <type_traits>

namespace ringside {
namespace {

constexpr bool kAddsFours = false;

// Pairs of products stay below 2 * 63 * 127 = 16,002, far from saturating 16 bits; those of signed
// weights below 2 * 128 * 127 = 32,512.
inline __m256i add_fours(__m256i sum, __m256i u, __m256i q) {
  const __m256i pairs = _mm256_maddubs_epi16(u, q);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "dot_256_blocks.inc"

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
