// Softmax attention over a cache, full and ring: which kernel takes it, and the one for a token or
// a few.
#include <algorithm>

#include "ring.h"

namespace ringside::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
// Up to so many tokens are answered one by one; their keys meet in the second cache. A guess: a
// tile of flash.cu is 64 rows, and would be mostly empty.
constexpr int kFewTokens = 4;
// A block that has less to look at is not worth its start. A guess: the keys of two turns.
constexpr int kMinPositions = 32;
// What a thread knows of the positions that it and the kLanes - 1 beside it have seen, for the
// heads that share a kv head: the columns 4 (lane + kLanes j) .. + 3 of their weighted sums.
template <int kVectors, int kHeads>
struct Seen {
  float4 sum[kHeads][kVectors];
  float top[kHeads], total[kHeads];

  __device__ void scale(int h, float factor) {
    total[h] *= factor;
    for (int j = 0; j < kVectors; j++) {
      sum[h][j].x *= factor;
      sum[h][j].y *= factor;
      sum[h][j].z *= factor;
      sum[h][j].w *= factor;
    }
  }

  // Adds what the lanes that differ in the bit `mask` have seen.
  __device__ void merge(int mask) {
    for (int h = 0; h < kHeads; h++) {
      const float highest = fmaxf(top[h], shuffle_xor(top[h], mask));
      scale(h, exp2f(top[h] - highest));
      top[h] = highest;
      total[h] += shuffle_xor(total[h], mask);
      for (int j = 0; j < kVectors; j++) {
        sum[h][j].x += shuffle_xor(sum[h][j].x, mask);
        sum[h][j].y += shuffle_xor(sum[h][j].y, mask);
        sum[h][j].z += shuffle_xor(sum[h][j].z, mask);
        sum[h][j].w += shuffle_xor(sum[h][j].w, mask);
      }
    }
  }
};

// out = softmax(q k^T / sqrt(head_dim)) v for n tokens, each with its own list of attended rows
// (ring.h). A block (x: split, y: kHeads heads of a kv head, z: token) looks at its split of the
// list; kLanes threads hold a row's columns, and go through it in turns of kAtOnce rows, each with
// its own running maximum (online softmax). Then the threads' shares are merged, and the last of
// the splits' blocks merges those. Bound by memory where the list is long: all loads of a turn are
// under way together, keys and values. Bound by latency on a ring.
template <int kLanes, int kHeads, bool kAligned, typename Value>
__global__ void __launch_bounds__(kThreads) decode_kernel(Reading r) {
  const Ring& ring = r.ring;
  const Shares& shares = r.shares;
  constexpr int kVectors = 2, kAtOnce = kHeads <= 2 ? 4 : 2;
  constexpr int kColumns = kLanes * kVectors * 4, kRows = kThreads / kLanes;
  const int chunks = (r.group + kHeads - 1) / kHeads, kv_head = int(blockIdx.y) / chunks;
  const int first_head = kv_head * r.group + int(blockIdx.y) % chunks * kHeads;
  const int heads = lesser(kHeads, (kv_head + 1) * r.group - first_head);
  const int dim = ring.head_dim, token = int(blockIdx.z);
  const int lane = int(threadIdx.x) % kLanes, mine = int(threadIdx.x) / kLanes;
  const float scale = kLog2E / sqrtf(float(dim));
  const Value *keys = ring.keys<Value>(), *values = ring.values<Value>();

  float4 query[kHeads][kVectors];
  Seen<kVectors, kHeads> seen;
  for (int h = 0; h < kHeads; h++) {
    const float* row = r.q + int64_t(token) * r.stride + (first_head + h) * dim;
    seen.top[h] = kUnseen;
    seen.total[h] = 0.0f;
    for (int j = 0; j < kVectors; j++) {
      query[h][j] = load_columns<false>(row, 4 * (lane + kLanes * j), h < heads ? dim : 0);
      seen.sum[h][j] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
  }

  const int p = position_of(r.position) + token;
  const Attended list(ring, p);
  const int even = (list.count + shares.splits - 1) / shares.splits;
  const int each = even > kMinPositions ? even : kMinPositions;
  const int64_t begin = int64_t(blockIdx.x) * each;
  const int end = int(lesser(begin + each, int64_t(list.count)));
  for (int64_t first = begin; first < end; first += kRows * kAtOnce) {
    float4 key[kAtOnce][kVectors], value[kAtOnce][kVectors];
    for (int u = 0; u < kAtOnce; u++) {
      const int64_t i = first + u * kRows + mine;
      const bool valid = i < end;
      const int64_t at = (valid ? list.row(ring, int(i)) : 0) * ring.width + kv_head * dim;
      for (int j = 0; j < kVectors; j++)
        key[u][j] = load_columns<kAligned>(keys + at, 4 * (lane + kLanes * j), valid ? dim : 0);
      for (int j = 0; j < kVectors; j++)
        value[u][j] = load_columns<kAligned>(values + at, 4 * (lane + kLanes * j), valid ? dim : 0);
    }
    for (int h = 0; h < kHeads; h++) {
      float score[kAtOnce], highest = seen.top[h];
      for (int u = 0; u < kAtOnce; u++) {
        score[u] = 0.0f;
        for (int j = 0; j < kVectors; j++) score[u] = dot(query[h][j], key[u][j], score[u]);
        for (int mask = kLanes / 2; mask > 0; mask /= 2) score[u] += shuffle_xor(score[u], mask);
        score[u] = first + u * kRows + mine < end ? score[u] * scale : -INFINITY;
        highest = fmaxf(highest, score[u]);
      }
      seen.scale(h, exp2f(seen.top[h] - highest));
      seen.top[h] = highest;
      for (int u = 0; u < kAtOnce; u++) {
        const float weight = exp2f(score[u] - highest);
        seen.total[h] += weight;
        for (int j = 0; j < kVectors; j++) add(seen.sum[h][j], weight, value[u][j]);
      }
    }
  }

  for (int mask = kLanes; mask < kWarp; mask *= 2) seen.merge(mask);
  float4* sums = shared_memory<float4>();  // [kWarps, kHeads, kColumns / 4]
  __shared__ float2 tops[kWarps][kHeads];
  if (lane_of() < kLanes) {
    for (int h = 0; h < kHeads; h++) {
      if (lane == 0) tops[warp_of()][h] = make_float2(seen.top[h], seen.total[h]);
      for (int j = 0; j < kVectors; j++)
        sums[(warp_of() * kHeads + h) * (kColumns / 4) + lane + kLanes * j] = seen.sum[h][j];
    }
  }
  __syncthreads();
  const int64_t first_row = int64_t(token) * r.n_heads + first_head;
  for (int i = int(threadIdx.x); i < heads * dim; i += kThreads) {
    const int h = i / dim, c = i % dim;
    const float* column = reinterpret_cast<const float*>(sums) + h * kColumns + c;
    float top = kUnseen, total = 0.0f, sum = 0.0f;
    for (int w = 0; w < kWarps; w++) top = fmaxf(top, tops[w][h].x);
    for (int w = 0; w < kWarps; w++) {
      const float weight = exp2f(tops[w][h].x - top);
      total += weight * tops[w][h].y;
      sum += weight * column[w * kHeads * kColumns];
    }
    if (shares.splits == 1) {
      r.out[(first_row + h) * dim + c] = sum / total;
    } else {
      const int64_t share = (first_row + h) * shares.splits + blockIdx.x;
      shares.values[share * dim + c] = sum;
      if (c == 0) shares.tops[share] = make_float2(top, total);
    }
  }
  if (shares.splits == 1) return;
  if (!is_last(shares, token * int(gridDim.y) + int(blockIdx.y))) return;
  for (int i = int(threadIdx.x); i < heads * dim; i += kThreads) {
    const int64_t row = first_row + i / dim;
    r.out[row * dim + i % dim] = combined(shares, row, dim, i % dim);
  }
}

template <int kLanes, int kHeads, bool kAligned, typename Value>
void decode_with(const Queue& queue, Reading r) {
  const int chunks = (r.group + kHeads - 1) / kHeads, kv_heads = r.n_heads / r.group;
  Grid grid;
  grid.y = int64_t(kv_heads) * chunks;
  grid.z = r.n;
  grid.threads = kThreads;
  grid.shared = size_t(kWarps * kHeads * kLanes * 8) * sizeof(float);
  const int positions = attended_bound(r.ring, r.position.bound);
  // A guess: as many blocks as run at once, by the registers of a thread (130 and 230).
  constexpr int kBlocksEach = kHeads > 4 ? 2 : 4;
  const int64_t filling = (int64_t(queue.processors()) * kBlocksEach + grid.y - 1) / grid.y;
  const int64_t wanted =
      std::min<int64_t>((positions + kMinPositions - 1) / kMinPositions, (filling + r.n - 1) / r.n);
  r.shares.splits = splits_within(wanted, int64_t(r.n) * r.n_heads, queue.processors());
  grid.x = r.shares.splits;
  launch(queue, "decode attention", decode_kernel<kLanes, kHeads, kAligned, Value>, grid, r);
}

template <int kLanes, typename Value>
void decode_lanes(const Queue& queue, const Reading& r) {
  if (r.group == 1) return decode_with<kLanes, 1, true, Value>(queue, r);
  if (r.group == 2) return decode_with<kLanes, 2, true, Value>(queue, r);
  if (r.group <= 4) return decode_with<kLanes, 4, true, Value>(queue, r);
  decode_with<kLanes, 8, true, Value>(queue, r);
}

template <typename Value>
void decode(const Queue& queue, const Reading& r) {
  const int dim = r.ring.head_dim;
  if (dim % 4 != 0) return decode_with<32, 4, false, Value>(queue, r);
  if (dim <= 64) return decode_lanes<8, Value>(queue, r);
  if (dim <= 128) return decode_lanes<16, Value>(queue, r);
  decode_lanes<32, Value>(queue, r);
}

}  // namespace

size_t attention_scratch_bytes(int head_dim, int processors) {
  return size_t(share_rows(processors)) *
         (sizeof(int) + sizeof(float2) + size_t(head_dim) * sizeof(float));
}

void attention(const Queue& queue, float* out, const float* q, const KvCache& cache, int n,
               int stride, int n_heads, Position position, void* scratch) {
  if (n == 0) return;
  const int64_t rows = share_rows(queue.processors());
  Shares shares;
  shares.tops = static_cast<float2*>(scratch);
  shares.counters = reinterpret_cast<int*>(shares.tops + rows);
  shares.values = reinterpret_cast<float*>(shares.counters + rows);
  const Reading reading{
      out, q, ring_of(cache), n, stride, n_heads, n_heads / cache.n_kv_heads, position, shares};
  const bool half = cache.type == Type::f16;
  if (n <= kFewTokens && half) return decode<uint16_t>(queue, reading);
  if (n <= kFewTokens) return decode<float>(queue, reading);
  if (queue.has_mma() && cache.head_dim % (half ? 8 : 4) == 0) return read_mma(queue, reading);
  read_simt(queue, reading);
}

}  // namespace ringside::cuda
