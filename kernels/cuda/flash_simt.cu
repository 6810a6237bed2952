// Softmax attention of many queries without tensor cores: what flash.cu does, for devices that
// have none and for head sizes that are not a multiple of 4.
#include <algorithm>

#include "ring.h"

namespace ringside::cuda {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kKeys = kWarp;  // of a piece: one a lane
// Blocks a processor: a guess from 50-60 KB of shared memory a block at head_dim 128.
constexpr int kBlocksEach = 2;

// Floats between rows in shared memory: a multiple of 4, and of 4 an odd one, so that lanes that
// read four floats of rows that follow each other use different banks.
__host__ __device__ inline int row_floats(int head_dim) { return (head_dim + 3) / 4 * 4 | 4; }

// The online softmax of a warp's rows; lane l holds columns l, l + 32, ... of their sums.
template <int kRowsEach, int kVectors>
struct Rows {
  float sum[kRowsEach][kVectors];
  float top[kRowsEach], total[kRowsEach];  // total: each lane's own share

  // `highest` is given by all lanes alike.
  __device__ void raise(int i, float highest) {
    const float factor = exp2f(top[i] - highest);
    for (int j = 0; j < kVectors; j++) sum[i][j] *= factor;
    total[i] *= factor;
    top[i] = highest;
  }
};

// Rows of the cache to shared memory, zeros in place of those that are not there.
template <typename Value>
__device__ void stage(float* shared, const Value* cache, const Ring& ring, const Piece& piece) {
  const int width = row_floats(ring.head_dim);
  for (int key = warp_of(); key < kKeys; key += kWarps) {
    const Value* row = cache + row_of(ring, piece, key) * ring.width;
    for (int c = lane_of(); c < width; c += kWarp)
      shared[key * width + c] = key < piece.count && c < ring.head_dim ? widened(row[c]) : 0.0f;
  }
}

// out = softmax(q k^T / sqrt(head_dim)) v. A block (x: tile, y: kv head, z: split) has 4 kRowsEach
// rows, each a head of a query; a warp kRowsEach of them. Scores: a lane a key. Sums: a lane every
// 32nd column. Bound by reads of shared memory: 12 for 32 multiplications in the scores.
template <int kRowsEach, int kVectors, typename Value>
__global__ void __launch_bounds__(kThreads, kBlocksEach) simt_kernel(Reading r) {
  constexpr int kRows = kRowsEach * kWarps;
  const Ring& ring = r.ring;
  const Value *keys = ring.keys<Value>(), *values = ring.values<Value>();
  const int dim = ring.head_dim, width = row_floats(dim), lane = lane_of();
  const int kv_head = int(blockIdx.y), begin = int(blockIdx.x) * kRows, all = r.n * r.group;
  const int p = position_of(r.position), mine = warp_of() * kRowsEach;
  const auto query_of = [&](int row) { return lesser(begin + row, all - 1) / r.group; };
  const auto head_of = [&](int row) {
    return kv_head * r.group + lesser(begin + row, all - 1) % r.group;
  };

  float* queries = shared_memory<float>();  // [kRows, width], scaled
  float* staged = queries + kRows * width;  // [kKeys, width]: keys, then values
  float* weights = staged + kKeys * width;  // [kRows, kKeys]
  const float scale = kLog2E / sqrtf(float(dim));
  for (int i = mine; i < mine + kRowsEach; i++) {
    const float* q = r.q + int64_t(query_of(i)) * r.stride + head_of(i) * dim;
    for (int c = lane; c < width; c += kWarp)
      queries[i * width + c] = c < dim ? q[c] * scale : 0.0f;
  }
  sync_warp();

  Rows<kRowsEach, kVectors> rows;
  for (int i = 0; i < kRowsEach; i++) {
    for (int j = 0; j < kVectors; j++) rows.sum[i][j] = 0.0f;
    rows.top[i] = kUnseen;
    rows.total[i] = 0.0f;
  }

  if (blockIdx.z == 0) {  // hops lead every query somewhere else: one by one
    for (int i = 0; i < kRowsEach; i++) {
      const int position = p + query_of(mine + i), slot = position % ring.slots;
      const int64_t last = last_hop(ring, position);
      for (int64_t hop = ring.first_hop; hop <= last; hop *= 2) {
        const int64_t at = slot_before(ring, slot, hop) * ring.width + kv_head * dim;
        float score = 0.0f;
        for (int c = lane; c < dim; c += kWarp)
          score = fmaf(queries[(mine + i) * width + c], widened(keys[at + c]), score);
        score = warp_sum(score);
        rows.raise(i, fmaxf(rows.top[i], score));
        const float weight = exp2f(score - rows.top[i]);
        rows.total[i] += lane == 0 ? weight : 0.0f;
        for (int j = 0; j < kVectors; j++)
          if (lane + kWarp * j < dim)
            rows.sum[i][j] = fmaf(weight, widened(values[at + lane + kWarp * j]), rows.sum[i][j]);
      }
    }
  }

  const Pieces<kKeys> pieces(ring, p + query_of(0), p + query_of(kRows - 1));
  const int from = int(int64_t(pieces.count) * blockIdx.z / r.shares.splits);
  const int to = int(int64_t(pieces.count) * (blockIdx.z + 1) / r.shares.splits);
  for (int t = from; t < to; t++) {
    const Piece piece = pieces(ring, t);
    __syncthreads();
    stage(staged, keys + kv_head * dim, ring, piece);
    __syncthreads();
    float score[kRowsEach] = {};
    for (int c = 0; c < dim; c += 4) {
      const float4 k = *reinterpret_cast<const float4*>(staged + lane * width + c);
      for (int i = 0; i < kRowsEach; i++) {
        const float4 q = *reinterpret_cast<const float4*>(queries + (mine + i) * width + c);
        score[i] = fmaf(q.x, k.x, fmaf(q.y, k.y, fmaf(q.z, k.z, fmaf(q.w, k.w, score[i]))));
      }
    }
    for (int i = 0; i < kRowsEach; i++) {
      if (!sees(ring, piece, lane, p + query_of(mine + i))) score[i] = -INFINITY;
      rows.raise(i, fmaxf(rows.top[i], warp_max(score[i])));
      const float weight = exp2f(score[i] - rows.top[i]);
      rows.total[i] += weight;
      weights[(mine + i) * kKeys + lane] = weight;
    }
    __syncthreads();
    stage(staged, values + kv_head * dim, ring, piece);
    __syncthreads();
    for (int key = 0; key < kKeys; key += 4) {
      float v[4][kVectors];
      for (int u = 0; u < 4; u++)
        for (int j = 0; j < kVectors; j++)
          v[u][j] = staged[(key + u) * width + lesser(lane + kWarp * j, width - 1)];
      for (int i = 0; i < kRowsEach; i++) {
        const float4 w = *reinterpret_cast<const float4*>(weights + (mine + i) * kKeys + key);
        for (int j = 0; j < kVectors; j++)
          rows.sum[i][j] =
              fmaf(w.x, v[0][j],
                   fmaf(w.y, v[1][j], fmaf(w.z, v[2][j], fmaf(w.w, v[3][j], rows.sum[i][j]))));
      }
    }
  }

  for (int i = 0; i < kRowsEach; i++) {
    const float total = warp_sum(rows.total[i]);
    if (begin + mine + i >= all) continue;
    const int64_t row = int64_t(query_of(mine + i)) * r.n_heads + head_of(mine + i);
    const int64_t share = row * r.shares.splits + blockIdx.z;
    float* out = r.shares.splits == 1 ? r.out + row * dim : r.shares.values + share * dim;
    const float factor = r.shares.splits == 1 ? 1.0f / total : 1.0f;
    for (int j = 0; j < kVectors; j++)
      if (lane + kWarp * j < dim) out[lane + kWarp * j] = rows.sum[i][j] * factor;
    if (r.shares.splits > 1 && lane == 0) r.shares.tops[share] = make_float2(rows.top[i], total);
  }
  if (r.shares.splits == 1 || !is_last(r.shares, int(blockIdx.y * gridDim.x + blockIdx.x))) return;
  for (int i = mine; i < mine + kRowsEach && begin + i < all; i++) {
    const int64_t row = int64_t(query_of(i)) * r.n_heads + head_of(i);
    for (int c = lane; c < dim; c += kWarp) r.out[row * dim + c] = combined(r.shares, row, dim, c);
  }
}

template <int kRowsEach, int kVectors, typename Value>
void read_with(const Queue& queue, Reading r) {
  constexpr int kRows = kRowsEach * kWarps;
  const int width = row_floats(r.ring.head_dim);
  Grid grid;
  grid.x = (r.n * r.group + kRows - 1) / kRows;
  grid.y = r.n_heads / r.group;
  split_reading(queue, r, grid, kKeys, kBlocksEach, kRows);
  grid.threads = kThreads;
  grid.shared = size_t((kRows + kKeys) * width + kRows * kKeys) * sizeof(float);
  launch(queue, "attention", simt_kernel<kRowsEach, kVectors, Value>, grid, r);
}

template <typename Value>
void read_values(const Queue& queue, const Reading& reading) {
  const int dim = reading.ring.head_dim;
  if (dim <= 32) return read_with<8, 1, Value>(queue, reading);
  if (dim <= 64) return read_with<8, 2, Value>(queue, reading);
  if (dim <= 128) return read_with<8, 4, Value>(queue, reading);
  read_with<4, 8, Value>(queue, reading);
}

}  // namespace

void read_simt(const Queue& queue, const Reading& reading) {
  if (reading.ring.type == Type::f16) return read_values<uint16_t>(queue, reading);
  read_values<float>(queue, reading);
}

}  // namespace ringside::cuda
