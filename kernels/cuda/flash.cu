// Softmax attention of many queries on tensor cores (Dao 2023, "FlashAttention-2"): full, windowed
// and ring.
#include "ring.h"

#if RINGSIDE_MMA
namespace ringside::cuda {
namespace {

constexpr int kRows = 64;  // of a block: a row is a head of a query; a warp has 16

// Sizes for heads of up to kDim columns in a cache of `Value`. A warp holds at most 128 columns of
// queries and sums in its registers, so wider heads are shared by two warps a row.
template <int kDim, typename Value>
struct Sizes {
  static constexpr int kParts = kDim > 128 ? 2 : 1;
  static constexpr int kOwn = kDim / kParts;  // columns of a warp
  static constexpr int kThreads = 128 * kParts;
  // Keys of a piece. A guess: two stages of keys and values are 34-37 KB up to head_dim 128, so
  // that two blocks run at once on Ada (99 KB) too; registers allow no more.
  static constexpr int kKeys = kDim > 64 ? 16 : 32;
  static constexpr int kKeyWidth = kDim + 8;                               // multiply_transposed()
  static constexpr int kValueWidth = kDim + (sizeof(Value) == 2 ? 8 : 4);  // multiply_plain()
  static constexpr int kStage = kKeys * (kKeyWidth + kValueWidth);
  static constexpr int kExchange = kParts > 1 ? kThreads* kKeys / 2 : 0;
  static constexpr size_t kShared = 2 * kStage * sizeof(Value) + kExchange * sizeof(float);
};
constexpr int kBlocksEach = 2;  // a processor: as many as run at once

// Adds the shares of the two warps that have the same rows. All threads of the block call it.
template <int kParts, int kCount>
__device__ void add_parts(float (&share)[kCount], float* exchange) {
  if constexpr (kParts > 1) {
    const int other = int(threadIdx.x) ^ 128;
    __syncthreads();  // what was exchanged before has been read
    for (int i = 0; i < kCount; i++) exchange[i * 256 + int(threadIdx.x)] = share[i];
    __syncthreads();
    for (int i = 0; i < kCount; i++) share[i] += exchange[i * 256 + other];
  }
}

// A piece's keys or values to shared memory, zeros in place of those that are not there. In the
// background.
template <int kDim, typename Value>
__device__ void stage(Value* to, int width, const Value* cache, const Ring& ring,
                      const Piece& piece) {
  using S = Sizes<kDim, Value>;
  constexpr int kEach = 16 / int(sizeof(Value));
  for (int i = int(threadIdx.x); i < S::kKeys * kDim / kEach; i += S::kThreads) {
    const int key = i / (kDim / kEach), c = i % (kDim / kEach) * kEach;
    const bool valid = key < piece.count && c < ring.head_dim;
    copy_async16(to + key * width + c,
                 valid ? cache + row_of(ring, piece, key) * ring.width + c : cache, valid);
  }
}

// Two rows of a lane, g and g + 8 of its warp's 16, each shared by the four lanes t of its quad:
// queries in columns 8c + 2t and the next, sums in columns 16c + 4t .. + 3 (products.h).
template <int kOwn>
struct Rows {
  float query[kOwn / 8][4];
  float sum[kOwn / 16][2][4];
  float top[2] = {kUnseen, kUnseen};
  float total[2] = {0.0f, 0.0f};  // each lane's own share

  __device__ void raise(int below, float highest) {
    const float factor = exp2f(top[below] - highest);
    for (int c = 0; c < kOwn / 16; c++)
      for (int i = 0; i < 4; i++) sum[c][i / 2][2 * below + i % 2] *= factor;
    total[below] *= factor;
    top[below] = highest;
  }

  __device__ void add(int below, int c, float weight, float4 value) {
    float(&low)[4] = sum[c][0], (&high)[4] = sum[c][1];
    low[2 * below] = fmaf(weight, value.x, low[2 * below]);
    high[2 * below] = fmaf(weight, value.y, high[2 * below]);
    low[2 * below + 1] = fmaf(weight, value.z, low[2 * below + 1]);
    high[2 * below + 1] = fmaf(weight, value.w, high[2 * below + 1]);
  }

  __device__ float4 columns(int below, int c, float factor) const {
    const float(&low)[4] = sum[c][0], (&high)[4] = sum[c][1];
    return make_float4(low[2 * below] * factor, high[2 * below] * factor,
                       low[2 * below + 1] * factor, high[2 * below + 1] * factor);
  }
};

__device__ float quad_sum(float x) {
  x += shuffle_xor(x, 1);
  return x + shuffle_xor(x, 2);
}
__device__ float quad_max(float x) {
  x = fmaxf(x, shuffle_xor(x, 1));
  return fmaxf(x, shuffle_xor(x, 2));
}

// The hops of all rows: each leads somewhere else, so a quad takes the key and the value of its row
// as they lie in the cache. `column`: of the warp's first; `last`: position of the last row.
template <int kDim, typename Value>
__device__ void see_hops(Rows<Sizes<kDim, Value>::kOwn>& rows, const Ring& ring, int head_offset,
                         int column, const int (&position)[2], int last, float* exchange) {
  using S = Sizes<kDim, Value>;
  const Value *keys = ring.keys<Value>(), *values = ring.values<Value>();
  const int t = lane_of() % 4;
  const int slot[2] = {position[0] % ring.slots, position[1] % ring.slots};
  const int64_t end = last_hop(ring, last);
  for (int64_t hop = ring.first_hop; hop <= end; hop *= 2) {
    float score[2] = {};
    int64_t at[2];
    bool seen[2];
    for (int below = 0; below < 2; below++) {
      seen[below] = hop <= last_hop(ring, position[below]);
      at[below] = seen[below] ? slot_before(ring, slot[below], hop) * ring.width + head_offset : 0;
      for (int c = 0; c < S::kOwn / 8; c++) {
        const int x = column + 8 * c + 2 * t;
        if (!seen[below] || x >= ring.head_dim) continue;
        const float2 key = load_pair(keys + at[below] + x);
        score[below] = fmaf(rows.query[c][below], key.x, score[below]);
        score[below] = fmaf(rows.query[c][2 + below], key.y, score[below]);
      }
      score[below] = quad_sum(score[below]);
    }
    add_parts<S::kParts>(score, exchange);
    for (int below = 0; below < 2; below++) {
      if (!seen[below]) continue;
      rows.raise(below, fmaxf(rows.top[below], score[below]));
      const float weight = exp2f(score[below] - rows.top[below]);
      rows.total[below] += t == 0 ? weight : 0.0f;
      for (int c = 0; c < S::kOwn / 16; c++) {
        const int x = column + 16 * c + 4 * t;
        rows.add(below, c, weight, load_columns<true>(values + at[below], x, ring.head_dim));
      }
    }
  }
}

// A piece whose keys and values are in shared memory, from the warp's first column on.
template <int kDim, bool kSplit, typename Value>
__device__ void see_piece(Rows<Sizes<kDim, Value>::kOwn>& rows, const Ring& ring,
                          const Piece& piece, const Value* keys, const Value* values,
                          const int (&position)[2], float* exchange) {
  using S = Sizes<kDim, Value>;
  const int g = lane_of() / 4, t = lane_of() % 4;
  float scores[S::kKeys / 2] = {};  // [kKeys / 8][4]
  using Tile = float[4];
  Tile* const tiles = reinterpret_cast<Tile*>(scores);
  for (int c = 0; c < S::kOwn / 8; c++) {
    const Split<kSplit, 4> factor(rows.query[c]);
    for (int j = 0; j < S::kKeys / 8; j++)
      multiply_transposed(tiles[j], factor, keys + (8 * j + g) * S::kKeyWidth + 8 * c + 2 * t);
  }
  add_parts<S::kParts>(scores, exchange);

  float highest[2] = {rows.top[0], rows.top[1]};
  for (int i = 0; i < S::kKeys / 2; i++) {
    const int key = i / 4 * 8 + 2 * t + i % 2, below = i % 4 / 2;
    if (!sees(ring, piece, key, position[below])) scores[i] = -INFINITY;
    highest[below] = fmaxf(highest[below], scores[i]);
  }
  for (int below = 0; below < 2; below++) rows.raise(below, quad_max(highest[below]));
  for (int i = 0; i < S::kKeys / 2; i++) {
    const int below = i % 4 / 2;
    scores[i] = exp2f(scores[i] - rows.top[below]);
    rows.total[below] += scores[i];
  }
  for (int j = 0; j < S::kKeys / 8; j++) {
    float weights[4];
    as_factor(weights, tiles[j]);
    const Split<kSplit, 4> factor(weights);
    for (int c = 0; c < S::kOwn / 16; c++)
      multiply_plain(rows.sum[c], factor,
                     values + (8 * j + 2 * t) * S::kValueWidth + 16 * c + 2 * g, S::kValueWidth);
  }
}

// out = softmax(q k^T / sqrt(head_dim)) v. A block (x: tile, y: kv head, z: split) has kRows rows,
// heads of neighbouring queries, which share the keys: sinks and window come in pieces of kKeys,
// the next while one is multiplied, and hops one by one before them. Scores and sums stay in
// registers. The last of a tile's splits to end merges them. Bound by the tensor cores, and by the
// splitting of floats for them.
template <int kDim, bool kSplit, typename Value>
__global__ void __launch_bounds__(Sizes<kDim, Value>::kThreads, 2 / Sizes<kDim, Value>::kParts)
    flash_kernel(Reading r) {
  using S = Sizes<kDim, Value>;
  const Ring& ring = r.ring;
  const int dim = ring.head_dim, kv_head = int(blockIdx.y), all = r.n * r.group;
  const int g = lane_of() / 4, t = lane_of() % 4, column = warp_of() / 4 * S::kOwn;
  const int begin = int(blockIdx.x) * kRows, mine = begin + warp_of() % 4 * 16 + g;
  const int p = position_of(r.position);
  const auto output_row = [&](int i) {
    return int64_t(i / r.group) * r.n_heads + kv_head * r.group + i % r.group;
  };
  Value* shared = shared_memory<Value>();
  float* exchange = reinterpret_cast<float*>(shared + 2 * S::kStage);

  Rows<S::kOwn> rows;
  int position[2];
  const float scale = kLog2E / sqrtf(float(dim));
  for (int below = 0; below < 2; below++) {
    const int i = lesser(mine + 8 * below, all - 1), query = i / r.group;
    const int head = kv_head * r.group + i % r.group;
    const float* q = r.q + int64_t(query) * r.stride + head * dim;
    position[below] = p + query;
    for (int c = 0; c < S::kOwn / 8; c++)
      for (int i = 0; i < 2; i++) {
        const int x = column + 8 * c + 2 * t + i;
        rows.query[c][2 * i + below] = x < dim ? q[x] * scale : 0.0f;
      }
  }
  for (int c = 0; c < S::kOwn / 16; c++)
    for (int i = 0; i < 8; i++) rows.sum[c][i / 4][i % 4] = 0.0f;

  const int last = p + (lesser(begin + kRows, all) - 1) / r.group;
  const Pieces<S::kKeys> pieces(ring, p + begin / r.group, last);
  const int from = int(int64_t(pieces.count) * blockIdx.z / r.shares.splits);
  const int to = int(int64_t(pieces.count) * (blockIdx.z + 1) / r.shares.splits);
  const auto load = [&](int i) {
    if (i < to) {
      const Piece piece = pieces(ring, i);
      Value* keys = shared + i % 2 * S::kStage;
      stage<kDim>(keys, S::kKeyWidth, ring.keys<Value>() + kv_head * dim, ring, piece);
      stage<kDim>(keys + S::kKeys * S::kKeyWidth, S::kValueWidth,
                  ring.values<Value>() + kv_head * dim, ring, piece);
    }
    commit_copies();
  };
  load(from);
  if (blockIdx.z == 0)
    see_hops<kDim, Value>(rows, ring, kv_head * dim, column, position, last, exchange);
  for (int i = from; i < to; i++) {
    load(i + 1);
    wait_copies<1>();
    __syncthreads();
    const Value* keys = shared + i % 2 * S::kStage + column;
    see_piece<kDim, kSplit>(rows, ring, pieces(ring, i), keys, keys + S::kKeys * S::kKeyWidth,
                            position, exchange);
    __syncthreads();
  }

  for (int below = 0; below < 2; below++) {
    const float total = quad_sum(rows.total[below]);
    if (mine + 8 * below >= all) continue;
    const int64_t row = output_row(mine + 8 * below), share = row * r.shares.splits + blockIdx.z;
    const bool whole = r.shares.splits == 1;
    float* out = whole ? r.out + row * dim : r.shares.values + share * dim;
    for (int c = 0; c < S::kOwn / 16; c++)
      store_columns<true>(out, column + 16 * c + 4 * t, dim,
                          rows.columns(below, c, whole ? 1.0f / total : 1.0f));
    if (!whole && column + t == 0) r.shares.tops[share] = make_float2(rows.top[below], total);
  }
  if (r.shares.splits == 1 || !is_last(r.shares, int(blockIdx.y * gridDim.x + blockIdx.x))) return;
  for (int i = int(threadIdx.x); i < lesser(kRows, all - begin) * dim; i += S::kThreads) {
    const int64_t row = output_row(begin + i / dim);
    r.out[row * dim + i % dim] = combined(r.shares, row, dim, i % dim);
  }
}

template <int kDim, typename Value>
void read_with(const Queue& queue, Reading r) {
  using S = Sizes<kDim, Value>;
  Grid grid;
  grid.x = (r.n * r.group + kRows - 1) / kRows;
  grid.y = r.n_heads / r.group;
  split_reading(queue, r, grid, S::kKeys, kBlocksEach, kRows);
  grid.threads = S::kThreads;
  grid.shared = S::kShared;
  launch(queue, "attention",
         queue.split_tf32() ? flash_kernel<kDim, true, Value> : flash_kernel<kDim, false, Value>,
         grid, r);
}

template <typename Value>
void read_values(const Queue& queue, const Reading& reading) {
  const int dim = reading.ring.head_dim;
  if (dim <= 32) return read_with<32, Value>(queue, reading);
  if (dim <= 64) return read_with<64, Value>(queue, reading);
  if (dim <= 128) return read_with<128, Value>(queue, reading);
  read_with<256, Value>(queue, reading);
}

}  // namespace

void read_mma(const Queue& queue, const Reading& reading) {
  if (reading.ring.type == Type::f16) return read_values<uint16_t>(queue, reading);
  read_values<float>(queue, reading);
}

}  // namespace ringside::cuda
#else
namespace ringside::cuda {
void read_mma(const Queue& queue, const Reading& reading) { read_simt(queue, reading); }
}  // namespace ringside::cuda
#endif
