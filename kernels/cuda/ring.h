// Which rows of a KvCache a query attends to: of the ring the window, the hops around it and the
// sinks, each position once; of a full cache all positions there are.
//
// The system that this one is modelled on sketches ring attention as one thread a query that looks
// at its two neighbours, the previous and the next modulo n. That looks into the future, and scales
// a single value. Ours is causal: hops lead back around the ring, and what is found there meets the
// window in one softmax; and it is tiled, so that queries share the keys that they have in common.
#pragma once

#include <limits.h>

#include <algorithm>

#include "../backend.h"
#include "cached.h"
#include "gpu.h"
#include "ops.h"
#include "products.h"

namespace ringside::cuda {

// Scores are in powers of two, so that their exponential is one instruction.
constexpr float kLog2E = 1.44269504088896340736f;
// Below every score: finite, so that the difference of two is a number. A masked score is
// -INFINITY, and its weight 0 whatever the highest is.
constexpr float kUnseen = -1e30f;

// A KvCache in the terms of the kernels. Its memory and that of the output are aligned to 16
// bytes; q need not be.
struct Ring {
  const void* k = nullptr;
  const void* v = nullptr;
  int64_t width = 0;  // values a row
  int slots = 0, sinks = 0;
  int window = 0;         // INT_MAX: everything
  int max_hop = 0;        // 0: no hops
  int64_t first_hop = 1;  // the lowest power of two that is not in the window
  int head_dim = 0;
  Type type = Type::f32;  // or f16

  template <typename Value>
  __device__ const Value* keys() const {
    return static_cast<const Value*>(k);
  }
  template <typename Value>
  __device__ const Value* values() const {
    return static_cast<const Value*>(v);
  }
};

inline Ring ring_of(const KvCache& cache) {
  Ring ring{cache.k,       cache.v,     int64_t(cache.n_kv_heads) * cache.head_dim,
            cache.slots,   cache.sinks, cache.window,
            cache.max_hop, 1,           cache.head_dim,
            cache.type};
  if (cache.window == 0) {
    ring.sinks = ring.max_hop = 0;
    ring.window = INT_MAX;
  }
  while (ring.first_hop < ring.window) ring.first_hop *= 2;
  return ring;
}

// Rows that a query before position `bound` attends to at most.
inline int attended_bound(const Ring& ring, int bound) {
  int64_t count = int64_t(ring.sinks) + ring.window;
  for (int64_t hop = ring.first_hop; hop <= ring.max_hop; hop *= 2) count++;
  return int(count < bound ? count : bound);
}

__device__ inline int position_of(const Position& position) {
  return *position.base + position.offset;
}

// The first position in the window of position p.
__device__ inline int window_first(const Ring& ring, int p) {
  return p - ring.window + 1 > 0 ? p - ring.window + 1 : 0;
}

// The row of the position `back` before the one in `slot`: back <= slots.
__device__ inline int slot_before(const Ring& ring, int slot, int64_t back) {
  const int64_t row = slot - back;
  return int(row < 0 ? row + ring.slots : row);
}

// The largest hop of a query at position p; a hop that ends on a sink is counted there.
__device__ inline int64_t last_hop(const Ring& ring, int p) {
  return ring.max_hop < p - ring.sinks ? ring.max_hop : p - ring.sinks;
}

// All rows of one query, as a list: sinks outside the window, the window, the hops.
struct Attended {
  int sinks, window, count;  // rows of each kind, and of all
  int slot;                  // of the query
  int first_slot;            // of the window

  __device__ Attended(const Ring& ring, int p) {
    const int first = window_first(ring, p);
    sinks = ring.sinks < first ? ring.sinks : first;
    window = p + 1 - first;
    count = sinks + window;
    const int64_t last = last_hop(ring, p);
    for (int64_t hop = ring.first_hop; hop <= last; hop *= 2) count++;
    slot = p % ring.slots;
    first_slot = slot_before(ring, slot, window - 1);
  }

  __device__ int row(const Ring& ring, int i) const {
    if (i < sinks) return ring.slots + i;
    i -= sinks;
    if (i >= window) return slot_before(ring, slot, ring.first_hop << (i - window));
    const int64_t row = int64_t(first_slot) + i;
    return int(row < ring.slots ? row : row - ring.slots);
  }
};

// Positions that lie together in the cache, but that they may pass its end once.
struct Piece {
  int row, position, count;  // of the first; how many
  bool sinks;
};

// What queries at positions first .. last attend to, hops left out, in pieces of kKeys: the sinks
// outside the last one's window, then the window from the first one's. What one query doesn't see
// of them is masked.
template <int kKeys>
struct Pieces {
  int sinks, sink_pieces, first, last, count;

  __device__ Pieces(const Ring& ring, int first_query, int last_query)
      : first(window_first(ring, first_query)), last(last_query) {
    const int outside = window_first(ring, last);
    sinks = ring.sinks < outside ? ring.sinks : outside;
    sink_pieces = (sinks + kKeys - 1) / kKeys;
    count = sink_pieces + (last + 1 - first + kKeys - 1) / kKeys;
  }

  __device__ Piece operator()(const Ring& ring, int i) const {
    const bool is_sink = i < sink_pieces;
    const int position = is_sink ? i * kKeys : first + (i - sink_pieces) * kKeys;
    const int left = (is_sink ? sinks : last + 1) - position;
    return {is_sink ? ring.slots + position : position % ring.slots, position,
            left < kKeys ? left : kKeys, is_sink};
  }
};

__device__ inline int row_of(const Ring& ring, const Piece& piece, int key) {
  const int64_t row = int64_t(piece.row) + key;
  return int(piece.sinks || row < ring.slots ? row : row - ring.slots);
}

// Whether the query at position p attends to the key here.
__device__ inline bool sees(const Ring& ring, const Piece& piece, int key, int p) {
  const int position = piece.position + key;
  if (key >= piece.count) return false;
  const bool outside = position <= p - ring.window;
  return piece.sinks ? outside : !outside && position <= p;
}

// Queries whose positions are split over blocks, each of which leaves its share: of every row (a
// head of a query) and split the weighted sum, the highest score and the sum of the weights.
struct Shares {
  float* values = nullptr;  // [rows, splits, head_dim]
  float2* tops = nullptr;   // [rows, splits]
  int* counters = nullptr;  // of splits that are done; zero before and after
  int splits = 1;
};

// Whether this block is the last of its splits to come here, to all its threads. What the others
// wrote before can be read then.
__device__ inline bool is_last(const Shares& shares, int counter) {
  __shared__ int before;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) before = atomicAdd(shares.counters + counter, 1);
  __syncthreads();
  if (before != shares.splits - 1) return false;
  if (threadIdx.x == 0) shares.counters[counter] = 0;
  __threadfence();
  return true;
}

// Column c of a row of the output: its shares, brought to one highest score.
__device__ inline float combined(const Shares& shares, int64_t row, int head_dim, int c) {
  const float2* tops = shares.tops + row * shares.splits;
  const float* values = shares.values + row * shares.splits * head_dim + c;
  float top = kUnseen, total = 0.0f, sum = 0.0f;
  for (int s = 0; s < shares.splits; s++) top = fmaxf(top, tops[s].x);
  for (int s = 0; s < shares.splits; s++) {
    const float weight = exp2f(tops[s].x - top);
    total += weight * tops[s].y;
    sum += weight * values[int64_t(s) * head_dim];
  }
  return sum / total;
}

// What is asked; the kernels take it as it is.
struct Reading {
  float* out;
  const float* q;
  Ring ring;
  int n, stride, n_heads, group;
  Position position;
  Shares shares;
};

// Rows of the output that may be kept in shares at once. A guess: of two blocks for each processor,
// each 64 rows.
inline int64_t share_rows(int processors) { return int64_t(processors) * 128; }

// `wanted` splits, or as many as there is memory for.
inline int splits_within(int64_t wanted, int64_t rows, int processors) {
  const int64_t most = share_rows(processors) / rows;
  const int64_t splits = wanted < most ? wanted : most;
  return int(splits > 1 ? splits : 1);
}

// Sets grid.z and the splits of tiles of `rows` rows, grid.x of them for each of grid.y kv heads:
// only where the tiles alone don't fill the device, and so that each has a few pieces to go over.
inline void split_reading(const Queue& queue, Reading& r, Grid& grid, int keys, int blocks_each,
                          int rows) {
  const int64_t seen = attended_bound(r.ring, r.position.bound) + rows / r.group;
  const int64_t blocks = grid.x * grid.y, filling = int64_t(queue.processors()) * blocks_each;
  const int64_t wanted = std::min(filling / blocks, seen / (4 * keys));
  r.shares.splits = splits_within(wanted, int64_t(r.n) * r.n_heads, queue.processors());
  grid.z = r.shares.splits;
}

// On tensor cores: a head's columns are a multiple of 16 bytes. Fills in shares.splits.
void read_mma(const Queue& queue, const Reading& reading);
// Anything.
void read_simt(const Queue& queue, const Reading& reading);

}  // namespace ringside::cuda
