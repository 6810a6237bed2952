// Lightning attention: the recurrence in chunks. Within a chunk, masked scores with decay; from the
// tokens before it, the state. (Qin et al. 2024, "Lightning Attention-2".)
#include <algorithm>
#include <cassert>
#include <cmath>

#include "backend.h"

namespace ringside {
namespace {

// Tokens a chunk. The work a token is chunk / 2 + 2 * head_dim rows of head_dim: 32 is near the
// least at head_dim 64, where the state's two passes already cost as much.
constexpr int kChunk = kRows;
constexpr int kTileFrom = 4;  // tokens that are worth a tile

// One head of one sequence: S and the strided rows of its q, k, v.
struct Head {
  const Dot& dot;
  float* s;  // [dim, dim]
  float decay;
  int dim;
  int64_t stride;

  // S = exp(-decay n) S + sum_i exp(-decay (n-1-i)) k_i v_i^T, n <= kChunk.
  void advance(const float* k, const float* v, int n) const {
    float weights[kChunk * kMaxHeadDim], factors[kRows];
    float* out[kRows] = {};
    std::fill_n(factors, kRows, std::exp(-decay * float(n)));
    for (int i = 0; i < n; i++) {
      const float weight = std::exp(-decay * float(n - 1 - i));
      for (int a = 0; a < dim; a++) weights[i * dim + a] = weight * k[i * stride + a];
    }
    for (int a = 0; a < dim; a += kRows) {
      const int rows = std::min(kRows, dim - a);
      for (int r = 0; r < rows; r++) out[r] = s + int64_t(a + r) * dim;
      dot.mix_tile(out, factors, rows, weights + a, dim, v, stride, n, dim);
    }
  }

  // out_i = q_i^T (exp(-decay (i+1)) S + sum_{j<=i} exp(-decay (i-j)) k_j v_j^T), scaled.
  void answer(float* out, int64_t out_stride, const float* q, const float* k, const float* v,
              int n) const {
    float power[kChunk + 1];
    for (int i = 0; i <= n; i++) power[i] = std::exp(-decay * float(i));
    if (n >= kTileFrom) return answer_tile(out, out_stride, q, k, v, n, power);
    const float scale = 1.0f / std::sqrt(float(dim));
    float scores[kChunk], asked[kMaxHeadDim];
    for (int i = 0; i < n; i++, out += out_stride) {
      const float* query = q + i * stride;
      for (int c = 0; c < dim; c++) asked[c] = query[c] * scale * power[i + 1];
      std::fill_n(out, dim, 0.0f);
      dot.mix(out, asked, s, dim, dim, dim);
      dot.scores(scores, query, k, stride, i + 1, dim, scale);
      for (int j = 0; j <= i; j++) scores[j] *= power[i - j];
      dot.mix(out, scores, v, stride, i + 1, dim);
    }
  }

  // The same, all tokens at once.
  void answer_tile(float* out, int64_t out_stride, const float* q, const float* k, const float* v,
                   int n, const float* power) const {
    const float scale = 1.0f / std::sqrt(float(dim));
    float columns[kMaxHeadDim * kRows], scores[kChunk * kRows], zeros[kRows] = {};
    float* rows[kRows] = {};
    std::fill_n(columns, dim * kRows, 0.0f);
    for (int r = 0; r < n; r++) {
      rows[r] = out + r * out_stride;
      std::fill_n(rows[r], dim, 0.0f);
      for (int c = 0; c < dim; c++) columns[c * kRows + r] = q[r * stride + c] * scale;
    }
    dot.mix_tile(rows, zeros, n, columns, kRows, s, dim, dim, dim);
    dot.score_tile(scores, columns, n, k, stride, n, dim);
    for (int j = 0; j < n; j++)
      for (int r = 0; r < n; r++) scores[j * kRows + r] *= r < j ? 0.0f : power[r - j];
    dot.mix_tile(rows, power + 1, n, scores, kRows, v, stride, n, dim);
  }
};

}  // namespace

void Cpu::lightning(float* out, const float* q, const float* k, const float* v,
                    const LinearState& state, int n, int stride) {
  assert(state.head_dim <= kMaxHeadDim);
  const int dim = state.head_dim;
  const int64_t work = int64_t(n) * state.n_heads * dim * dim * 2;
  run(work, state.n_heads, [&](int h) {
    const Head head{dot_, state.s + int64_t(h) * dim * dim, state.decay[h], dim, stride};
    for (int first = 0; first < n; first += kChunk) {
      const int count = std::min(kChunk, n - first);
      const int64_t at = int64_t(first) * stride + h * dim;
      float* rows = out + (int64_t(first) * state.n_heads + h) * dim;
      head.answer(rows, int64_t(state.n_heads) * dim, q + at, k + at, v + at, count);
      head.advance(k + at, v + at, count);
    }
  });
}

void Cpu::advance(const float* k, const float* v, const LinearState& state, int n, int stride) {
  assert(state.head_dim <= kMaxHeadDim);
  const int dim = state.head_dim;
  run(int64_t(n) * state.n_heads * dim * dim, state.n_heads, [&](int h) {
    const Head head{dot_, state.s + int64_t(h) * dim * dim, state.decay[h], dim, stride};
    for (int first = 0; first < n; first += kChunk) {
      const int64_t at = int64_t(first) * stride + h * dim;
      head.advance(k + at, v + at, std::min(kChunk, n - first));
    }
  });
}

}  // namespace ringside
