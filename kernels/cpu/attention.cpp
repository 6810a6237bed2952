// Softmax attention over runs of the cache that lie together, full and ring alike: scores of a piece
// of a run, then the running maximum and sum (online softmax, Milakov & Gimelshein 2018), so that
// memory does not grow with the positions looked at.
#include <algorithm>
#include <cmath>

#include "backend.h"

namespace ringside {
namespace {

constexpr int kPiece = 128;     // positions scored at once: their keys stay in L1 for the values' turn
constexpr int kQueriesAPart = 4;

// The softmax-weighted sum so far, of one query head.
struct Sum {
  float* out;  // [head_dim], not yet divided by `total`
  float top = -INFINITY;
  float total = 0.0f;
};

// Attends to `count` positions whose keys and values lie at k, v, `stride` apart.
void attend(Sum& sum, const Dot& dot, const float* q, const float* k, const float* v,
            int64_t stride, int count, int dim, float scale) {
  float scores[kPiece];
  for (int first = 0; first < count; first += kPiece) {
    const int here = std::min(kPiece, count - first);
    dot.scores(scores, q, k + first * stride, stride, here, dim, scale);
    const float top = std::max(sum.top, *std::max_element(scores, scores + here));
    if (top > sum.top) {
      const float factor = std::exp(sum.top - top);
      for (int c = 0; c < dim; c++) sum.out[c] *= factor;
      sum.total *= factor;
      sum.top = top;
    }
    sum.total += dot.exp_sum(scores, here, top);
    dot.mix(sum.out, scores, v + first * stride, stride, here, dim);
  }
}

// One query head over all that `cache` lets position p see.
struct Query {
  const Dot& dot;
  const KvCache& cache;
  int kv_head;
  float scale;

  void run(Sum& sum, const float* q, int first, int end) const {  // positions, in at most two pieces
    while (first < end) {
      const int slot = first % cache.slots;
      const int count = std::min(end - first, cache.slots - slot);
      rows(sum, q, slot, count);
      first += count;
    }
  }

  void rows(Sum& sum, const float* q, int row, int count) const {
    const int64_t width = int64_t(cache.n_kv_heads) * cache.head_dim;
    const int64_t at = row * width + int64_t(kv_head) * cache.head_dim;
    attend(sum, dot, q, cache.k + at, cache.v + at, width, count, cache.head_dim, scale);
  }

  void attend_from(Sum& sum, const float* q, int p) const {
    if (cache.window == 0) return run(sum, q, 0, p + 1);
    const int first = std::max(0, p - cache.window + 1);
    run(sum, q, first, p + 1);
    for (int hop = 1; hop <= std::min(cache.max_hop, p); hop *= 2)
      if (hop >= cache.window && p - hop >= cache.sinks) run(sum, q, p - hop, p - hop + 1);
    // Sinks outside the window; a hop that ends on one is counted here, not above.
    const int sinks = std::min(cache.sinks, first);
    if (sinks > 0) rows(sum, q, cache.slots, sinks);
  }
};

}  // namespace

void Cpu::store(const KvCache& cache, const float* k, const float* v, int n, int stride,
                int position) {
  const int64_t width = int64_t(cache.n_kv_heads) * cache.head_dim;
  for (int p = position; p < position + n; p++, k += stride, v += stride) {
    const int64_t slot = p % cache.slots;
    std::copy_n(k, width, cache.k + slot * width);
    std::copy_n(v, width, cache.v + slot * width);
    if (p >= cache.sinks) continue;
    std::copy_n(k, width, cache.k + (cache.slots + p) * width);
    std::copy_n(v, width, cache.v + (cache.slots + p) * width);
  }
}

void Cpu::attention(float* out, const float* q, const KvCache& cache, int n, int stride,
                    int n_heads, int position) {
  const int dim = cache.head_dim, group = n_heads / cache.n_kv_heads;
  const float scale = 1.0f / std::sqrt(float(dim));
  const int seen = cache.window == 0 ? position + n : cache.window;
  const int64_t work = int64_t(n) * n_heads * dim * 2 * seen;
  const int blocks = (n + kQueriesAPart - 1) / kQueriesAPart;
  // A part is a few queries of one kv head: its heads and neighbours read the same keys.
  run(work, blocks * cache.n_kv_heads, [&](int part) {
    const int kv_head = part % cache.n_kv_heads, first = part / cache.n_kv_heads * kQueriesAPart;
    const Query query{dot_, cache, kv_head, scale};
    for (int i = first; i < std::min(n, first + kQueriesAPart); i++)
      for (int h = kv_head * group; h < (kv_head + 1) * group; h++) {
        Sum sum{out + (int64_t(i) * n_heads + h) * dim};
        std::fill_n(sum.out, dim, 0.0f);
        query.attend_from(sum, q + int64_t(i) * stride + h * dim, position + i);
        for (int c = 0; c < dim; c++) sum.out[c] /= sum.total;
      }
  });
}

}  // namespace ringside
