// Softmax attention over runs of the cache that lie together, full and ring alike: scores of a
// piece of a run, then the running maximum and sum (online softmax, Milakov & Gimelshein 2018), so
// that memory does not grow with the positions looked at. Reading a text, the heads of a kv head
// and neighbouring queries go over the cache together, as a Tile; a token alone goes head by head.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "backend.h"

namespace ringside {
namespace {

constexpr int kPiece = 96;  // positions scored at once: their keys are near for every row's turn
// Rows that are worth a tile. Four cost the same either way on Zen 4; a token alone has fewer, or
// four.
constexpr int kTileFrom = 5;

// scores and mix of Dot over rows of the cache from value `at` on, whatever their type.
void score_keys(const Dot& dot, const KvCache& cache, float* scores, const float* q, int64_t at,
                int64_t stride, int count, float scale) {
  const int dim = cache.head_dim;
  if (cache.type == Type::f16) {
    const auto* k = static_cast<const uint16_t*>(cache.k) + at;
    dot.scores_f16(scores, q, k, stride, count, dim, scale);
  } else {
    dot.scores(scores, q, static_cast<const float*>(cache.k) + at, stride, count, dim, scale);
  }
}

void mix_values(const Dot& dot, const KvCache& cache, float* out, const float* weights, int64_t at,
                int64_t stride, int count) {
  if (cache.type == Type::f16) {
    const auto* v = static_cast<const uint16_t*>(cache.v) + at;
    dot.mix_f16(out, weights, v, stride, count, cache.head_dim);
  } else {
    dot.mix(out, weights, static_cast<const float*>(cache.v) + at, stride, count, cache.head_dim);
  }
}

// One query, with the `group` heads that share a kv head: what a token alone asks.
struct Query {
  const Dot& dot;
  const KvCache& cache;
  int kv_head, group;
  float scale;
  const float* q;  // [group, head_dim]
  float* out;      // [group, head_dim]: the weighted sums so far, not yet divided by `total`
  float top[kTileFrom], total[kTileFrom];

  void run(int position) {
    std::fill_n(out, group * cache.head_dim, 0.0f);
    std::fill_n(top, group, kUnseen);
    std::fill_n(total, group, 0.0f);
    see_all(position);
    for (int h = 0; h < group; h++)
      for (int c = 0; c < cache.head_dim; c++) out[h * cache.head_dim + c] /= total[h];
  }

  void see_all(int p) {
    if (cache.window == 0) return see_positions(0, p + 1);
    const int first = std::max(0, p - cache.window + 1);
    see_positions(first, p + 1);
    for (int64_t hop = 1; hop <= std::min(cache.max_hop, p); hop *= 2)
      if (hop >= cache.window && p - hop >= cache.sinks) see(int((p - hop) % cache.slots), 1);
    // Sinks outside the window; a hop that ends on one is counted here, not above.
    const int sinks = std::min(cache.sinks, first);
    if (sinks > 0) see(cache.slots, sinks);
  }

  void see_positions(int first, int end) {  // the cache may wrap once between them
    while (first < end) {
      const int slot = first % cache.slots;
      const int count = std::min(end - first, cache.slots - slot);
      see(slot, count);
      first += count;
    }
  }

  // `count` rows of the cache that lie together; the heads share each piece of them while it is
  // near.
  void see(int row, int count) {
    const int64_t width = int64_t(cache.n_kv_heads) * cache.head_dim;
    const int64_t at = row * width + int64_t(kv_head) * cache.head_dim;
    for (int i = 0; i < count; i += kPiece)
      for (int h = 0; h < group; h++)
        see_piece(h, at + i * width, width, std::min(kPiece, count - i));
  }

  void see_piece(int h, int64_t at, int64_t width, int count) {
    const int dim = cache.head_dim;
    float scores[kPiece];
    float* sum = out + h * dim;
    score_keys(dot, cache, scores, q + h * dim, at, width, count, scale);
    const float highest = std::max(top[h], *std::max_element(scores, scores + count));
    if (highest > top[h]) {
      const float factor = std::exp(top[h] - highest);
      for (int c = 0; c < dim; c++) sum[c] *= factor;
      total[h] *= factor;
      top[h] = highest;
    }
    total[h] += dot.exp_sum(scores, count, highest);
    mix_values(dot, cache, sum, scores, at, width, count);
  }
};

// Up to kRows rows of one kv head. Row r is head r % group of it, of a query that follows from
// that.
struct Tile {
  Tile(const Dot& dot, const KvCache& cache, int kv_head, int rows)
      : dot(dot), cache(cache), kv_head(kv_head), rows(rows) {}

  const Dot& dot;
  const KvCache& cache;
  int kv_head, rows;
  int first_position = 0, last_position = 0;  // of all rows
  const float* q[kRows] = {};
  float* out[kRows] = {};
  int position[kRows] = {};
  int first[kRows] = {}, end[kRows] = {};  // positions that a row sees of the run at hand
  float top[kRows], total[kRows] = {}, factors[kRows];
  float scores[kPiece * kRows];
  float columns[kMaxHeadDim * kRows];  // [head_dim, kRows]: the queries, scaled
  float wide[kPiece * kMaxHeadDim];    // a piece of an f16 cache

  int64_t width() const { return int64_t(cache.n_kv_heads) * cache.head_dim; }

  struct Floats {
    const float* rows;
    int64_t stride;
  };
  // Rows of the cache's k or v from value `at` on. Those of an f16 cache are widened once for all
  // rows of the tile.
  Floats floats(const void* values, int64_t at, int count) {
    if (cache.type == Type::f32) return {static_cast<const float*>(values) + at, width()};
    dot.widen(wide, static_cast<const uint16_t*>(values) + at, width(), count, cache.head_dim);
    return {wide, cache.head_dim};
  }

  // Gathers the queries once every row's q, out and position are set.
  void begin() {
    const float scale = 1.0f / std::sqrt(float(cache.head_dim));
    std::fill_n(top, kRows, kUnseen);
    std::fill_n(columns, cache.head_dim * kRows, 0.0f);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cache.head_dim; c++) columns[c * kRows + r] = q[r][c] * scale;
      std::fill_n(out[r], cache.head_dim, 0.0f);
    }
    first_position = position[0];
    last_position = position[rows - 1];
  }

  // The run of positions p .. p+count-1, whose rows of the cache begin at `row`.
  void see(int row, int p, int count) {
    const int64_t at = row * width() + int64_t(kv_head) * cache.head_dim;
    int from[kRows], to[kRows];
    for (int i = 0; i < count; i += kPiece) {
      const int here = std::min(kPiece, count - i);
      const int64_t piece = at + i * width();
      for (int r = 0; r < kRows; r++) {
        from[r] = first[r] - p - i;
        to[r] = end[r] - p - i;
      }
      const Floats k = floats(cache.k, piece, here);
      dot.score_tile(scores, columns, rows, k.rows, k.stride, here, cache.head_dim);
      dot.softmax_tile(scores, here, from, to, top, total, factors);
      const Floats v = floats(cache.v, piece, here);
      dot.mix_tile(out, factors, rows, scores, kRows, v.rows, v.stride, here, cache.head_dim);
    }
  }

  // The window, or everything: where rows differ in what they see, they are computed and masked.
  void see_window() {
    const int window = cache.window == 0 ? last_position + 1 : cache.window;
    for (int r = 0; r < rows; r++) {
      first[r] = std::max(0, position[r] - window + 1);
      end[r] = position[r] + 1;
    }
    for (int p = first[0]; p <= last_position;) {
      const int slot = p % cache.slots;
      const int count = std::min(last_position + 1 - p, cache.slots - slot);
      see(slot, p, count);
      p += count;
    }
  }

  // Sinks outside the window; a hop that ends on one is counted here.
  void see_sinks() {
    if (cache.window == 0) return;
    const int sinks = std::min(cache.sinks, std::max(0, last_position - cache.window + 1));
    for (int r = 0; r < rows; r++) {
      end[r] = std::max(0, position[r] - cache.window + 1);
      first[r] = 0;
    }
    if (sinks > 0) see(cache.slots, 0, sinks);
  }

  // Hops lead every query somewhere else, so keys and values are taken one by one, and only the
  // softmax is shared. Comes first: there is nothing in `out` to be multiplied by factors.
  void see_hops() {
    int hops[31], count = 0;
    if (cache.window == 0) return;
    for (int64_t hop = 1; hop <= std::min(cache.max_hop, last_position); hop *= 2)
      if (hop >= cache.window) hops[count++] = int(hop);
    for (int j = 0; j < count; j++)
      for (int r = 0; r < kRows; r++) {
        float& score = scores[j * kRows + r] = kUnseen;
        if (r >= rows || position[r] - hops[j] < cache.sinks) continue;
        score_keys(dot, cache, &score, q[r], at(position[r] - hops[j]), 0, 1,
                   1.0f / std::sqrt(float(cache.head_dim)));
      }
    if (count == 0) return;
    std::fill_n(first, kRows, 0);
    std::fill_n(end, kRows, count);
    dot.softmax_tile(scores, count, first, end, top, total, factors);
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < count; j++) {
        if (position[r] - hops[j] < cache.sinks) continue;
        mix_values(dot, cache, out[r], scores + j * kRows + r, at(position[r] - hops[j]), 0, 1);
      }
  }

  // Where the key and the value of position p lie.
  int64_t at(int p) const { return p % cache.slots * width() + int64_t(kv_head) * cache.head_dim; }
};

}  // namespace

void Cpu::store(const KvCache& cache, const float* k, const float* v, int n, int stride,
                int position) {
  const int64_t width = int64_t(cache.n_kv_heads) * cache.head_dim;
  const auto put = [&](void* values, int64_t row, const float* from) {
    if (cache.type == Type::f16) {
      dot_.narrow(static_cast<uint16_t*>(values) + row * width, from, width);
    } else {
      std::copy_n(from, width, static_cast<float*>(values) + row * width);
    }
  };
  for (int p = position; p < position + n; p++, k += stride, v += stride) {
    put(cache.k, p % cache.slots, k);
    put(cache.v, p % cache.slots, v);
    if (p >= cache.sinks) continue;
    put(cache.k, cache.slots + p, k);
    put(cache.v, cache.slots + p, v);
  }
}

void Cpu::attention(float* out, const float* q, const KvCache& cache, int n, int stride,
                    int n_heads, int position) {
  assert(cache.head_dim <= kMaxHeadDim);
  const int dim = cache.head_dim, group = n_heads / cache.n_kv_heads;
  const int seen = cache.window == 0 ? position + n : cache.window;
  const int64_t work = int64_t(n) * n_heads * dim * 2 * seen;
  const int all = n * group;  // rows of one kv head
  if (all < kTileFrom) {
    const float scale = 1.0f / std::sqrt(float(dim));
    run(work, cache.n_kv_heads, [&](int kv_head) {
      for (int i = 0; i < n; i++) {
        const int head = kv_head * group * dim;
        Query query{dot_,
                    cache,
                    kv_head,
                    group,
                    scale,
                    q + int64_t(i) * stride + head,
                    out + int64_t(i) * n_heads * dim + head,
                    {},
                    {}};
        query.run(position + i);
      }
    });
    return;
  }
  const int tiles = (all + kRows - 1) / kRows;
  run(work, tiles * cache.n_kv_heads, [&](int part) {
    const int kv_head = part % cache.n_kv_heads, begin = part / cache.n_kv_heads * kRows;
    Tile tile(dot_, cache, kv_head, std::min(kRows, all - begin));
    for (int r = 0; r < tile.rows; r++) {
      const int i = (begin + r) / group, h = kv_head * group + (begin + r) % group;
      tile.q[r] = q + int64_t(i) * stride + h * dim;
      tile.out[r] = out + (int64_t(i) * n_heads + h) * dim;
      tile.position[r] = position + i;
    }
    tile.begin();
    tile.see_hops();
    tile.see_window();
    tile.see_sinks();
    for (int r = 0; r < tile.rows; r++)
      for (int c = 0; c < dim; c++) tile.out[r][c] /= tile.total[r];
  });
}

}  // namespace ringside
