// Chunks of lightning attention on tensor cores.
#include "lightning.h"

#if RINGSIDE_MMA
namespace ringside::cuda {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kTile = 64;           // rows and columns of a block; a warp has 16 of the rows
constexpr int kPairs = kTile / 16;  // of 8 columns
constexpr int kDepth = 32;          // of the inner dimension, in shared memory at once
// Floats between rows in shared memory: see multiply_plain() and multiply_transposed().
constexpr int kWidth = kTile + 4;     // of those that are rows of a factor
constexpr int kColumns = kDepth + 8;  // of those that are columns of one
static_assert(kChunk == kTile);

// rows x columns floats of `from`, whose rows lie `stride` apart, to shared memory, whose rows lie
// `width` apart; zeros beyond `valid_rows` and `valid_columns`, a multiple of 4. In the background.
template <int kRows, int kCols>
__device__ void stage(float* to, int width, const float* from, int64_t stride, int valid_rows,
                      int valid_columns) {
  for (int i = int(threadIdx.x); i < kRows * kCols / 4; i += kThreads) {
    const int r = i / (kCols / 4), c = i % (kCols / 4) * 4;
    const bool valid = r < valid_rows && c < valid_columns;
    copy_async16(to + r * width + c, valid ? from + r * stride + c : from, valid);
  }
}

// A pair of sums as multiply_plain() leaves them: columns 4t .. 4t+3 of row g, or below: g + 8.
__device__ float4 columns_of(const float (&d)[2][4], int below) {
  return make_float4(d[0][2 * below], d[1][2 * below], d[0][2 * below + 1], d[1][2 * below + 1]);
}

// sum_i exp(-decay (tokens - 1 - i)) k_i v_i^T of a chunk. A block (x: tile of the state, y: head,
// z: chunk) goes over the chunk's tokens; while kDepth of them are multiplied, the next come.
// Bound by the tensor cores and the splitting of floats for them.
template <bool kSplit>
__global__ void __launch_bounds__(kThreads) accumulate_kernel(Lightning l) {
  const int dim = l.state.head_dim, tiles = (dim + kTile - 1) / kTile;
  const int head = int(blockIdx.y), chunk = int(blockIdx.z), tokens = tokens_in(l, chunk);
  const int a = int(blockIdx.x) / tiles * kTile, c = int(blockIdx.x) % tiles * kTile;
  const int g = lane_of() / 4, t = lane_of() % 4, row = warp_of() * 16 + g;
  const float decay = l.state.decay[head];
  const int64_t at = int64_t(chunk) * l.chunk * l.stride + head * dim;

  constexpr int kStage = kDepth * kWidth;
  float* shared = shared_memory<float>();  // [2][keys, values][kDepth, kWidth]
  const auto load = [&](int first) {
    if (first < tokens) {
      float* keys = shared + first / kDepth % 2 * (2 * kStage);
      const int64_t from = at + int64_t(first) * l.stride;
      stage<kDepth, kTile>(keys, kWidth, l.k + from + a, l.stride, tokens - first, dim - a);
      stage<kDepth, kTile>(keys + kStage, kWidth, l.v + from + c, l.stride, tokens - first,
                           dim - c);
    }
    commit_copies();
  };

  float sums[kPairs][2][4] = {};
  load(0);
  for (int first = 0; first < tokens; first += kDepth) {
    load(first + kDepth);
    wait_copies<1>();
    __syncthreads();
    const float* keys = shared + first / kDepth % 2 * (2 * kStage);
    const float* values = keys + kStage;
    for (int i = 0; i < kDepth; i += 8) {
      const int token = i + 2 * t, left = tokens - 1 - first - token;
      const float w0 = left >= 0 ? expf(-decay * float(left)) : 0.0f;
      const float w1 = left >= 1 ? expf(-decay * float(left - 1)) : 0.0f;
      const float* key = keys + token * kWidth + row;
      const float x[4] = {w0 * key[0], w0 * key[8], w1 * key[kWidth], w1 * key[kWidth + 8]};
      const Split<kSplit, 4> factor(x);
      for (int j = 0; j < kPairs; j++)
        multiply_plain(sums[j], factor, values + token * kWidth + 16 * j + 2 * g, kWidth);
    }
    __syncthreads();
  }

  float* state = state_at(l, head, chunk);
  const float factor = l.befores == nullptr ? expf(-decay * float(tokens)) : 0.0f;
  for (int j = 0; j < kPairs; j++)
    for (int below = 0; below < 2; below++) {
      const int r = a + row + 8 * below, column = c + 16 * j + 4 * t;
      if (r >= dim || column >= dim) continue;
      float4& s = *reinterpret_cast<float4*>(state + int64_t(r) * dim + column);
      float4 sum = columns_of(sums[j], below);
      if (l.befores == nullptr) add(sum, factor, s);
      s = sum;
    }
}

// out_i = q_i^T (exp(-decay (i+1)) S + sum_{j<=i} exp(-decay (i-j)) k_j v_j^T) / sqrt(head_dim). A
// block (x: columns, y: head, z: chunk) has all tokens of the chunk, a warp 16. It goes over the
// columns of q for the scores and for q S together; while kDepth of them are multiplied, the next
// come, and the values at last. Bound as above. Scores are computed again for every kTile columns:
// that is a third of the work at head_dim 128, and twice the blocks.
template <bool kSplit>
__global__ void __launch_bounds__(kThreads, 2) answer_kernel(Lightning l) {
  const int dim = l.state.head_dim, head = int(blockIdx.y), chunk = int(blockIdx.z);
  const int tokens = tokens_in(l, chunk), column = int(blockIdx.x) * kTile;
  const int g = lane_of() / 4, t = lane_of() % 4, row = warp_of() * 16 + g;
  const float decay = l.state.decay[head], scale = 1.0f / sqrtf(float(dim));
  const int64_t at = int64_t(chunk) * l.chunk * l.stride + head * dim;
  const float* state = state_at(l, head, chunk);

  constexpr int kSide = kTile * kColumns, kStage = 2 * kSide + kDepth * kWidth;
  float* shared = shared_memory<float>();  // [2][queries, keys, rows of S]; then values
  float* values = shared + 2 * kStage;
  const auto load = [&](int a) {
    if (a < dim) {
      float* queries = shared + a / kDepth % 2 * kStage;
      stage<kTile, kDepth>(queries, kColumns, l.q + at + a, l.stride, tokens, dim - a);
      stage<kTile, kDepth>(queries + kSide, kColumns, l.k + at + a, l.stride, tokens, dim - a);
      stage<kDepth, kTile>(queries + 2 * kSide, kWidth, state + int64_t(a) * dim + column, dim,
                           dim - a, dim - column);
    } else {
      stage<kTile, kTile>(values, kWidth, l.v + at + column, l.stride, tokens, dim - column);
    }
    commit_copies();
  };

  float scores[kTile / 8][4] = {}, sums[kPairs][2][4] = {};
  load(0);
  for (int a = 0; a < dim; a += kDepth) {
    load(a + kDepth);
    wait_copies<1>();
    __syncthreads();
    const float* queries = shared + a / kDepth % 2 * kStage;
    const float* keys = queries + kSide;
    const float* rows = keys + kSide;
    for (int i = 0; i < kDepth; i += 8) {
      const float* query = queries + row * kColumns + i + 2 * t;
      const float x[4] = {query[0], query[8 * kColumns], query[1], query[8 * kColumns + 1]};
      const Split<kSplit, 4> factor(x);
      for (int j = 0; j < kTile / 8; j++)
        multiply_transposed(scores[j], factor, keys + (8 * j + g) * kColumns + i + 2 * t);
      for (int j = 0; j < kPairs; j++)
        multiply_plain(sums[j], factor, rows + (i + 2 * t) * kWidth + 16 * j + 2 * g, kWidth);
    }
    __syncthreads();
  }

  const float before = expf(-decay * float(row + 1)), below = expf(-decay * float(row + 9));
  for (int j = 0; j < kPairs; j++)
    for (int half = 0; half < 2; half++)
      for (int i = 0; i < 4; i++) sums[j][half][i] *= i < 2 ? before : below;
  wait_copies<0>();
  __syncthreads();
  for (int j = 0; j < kTile / 8; j++) {
    for (int i = 0; i < 4; i++) {
      const int apart = row + i / 2 * 8 - (8 * j + 2 * t + i % 2);
      scores[j][i] = apart >= 0 ? scores[j][i] * expf(-decay * float(apart)) : 0.0f;
    }
    float x[4];
    as_factor(x, scores[j]);
    const Split<kSplit, 4> factor(x);
    for (int m = 0; m < kPairs; m++)
      multiply_plain(sums[m], factor, values + (8 * j + 2 * t) * kWidth + 16 * m + 2 * g, kWidth);
  }
  for (int j = 0; j < kPairs; j++)
    for (int half = 0; half < 2; half++) {
      const int i = row + 8 * half, c = column + 16 * j + 4 * t;
      if (i >= tokens || c >= dim) continue;
      const float4 sum = columns_of(sums[j], half);
      float* out = l.out + ((int64_t(chunk) * l.chunk + i) * l.state.n_heads + head) * dim + c;
      *reinterpret_cast<float4*>(out) =
          make_float4(sum.x * scale, sum.y * scale, sum.z * scale, sum.w * scale);
    }
}

}  // namespace

void accumulate_mma(const Queue& queue, const Lightning& l) {
  const int64_t tiles = (l.state.head_dim + kTile - 1) / kTile;
  const size_t shared = size_t(4 * kDepth * kWidth) * sizeof(float);
  launch(queue, "lightning, keys and values",
         queue.split_tf32() ? accumulate_kernel<true> : accumulate_kernel<false>,
         Grid{tiles * tiles, l.state.n_heads, l.chunks, kThreads, shared}, l);
}

void answer_mma(const Queue& queue, const Lightning& l) {
  const int64_t tiles = (l.state.head_dim + kTile - 1) / kTile;
  const size_t floats = 2 * (2 * kTile * kColumns + kDepth * kWidth) + kTile * kWidth;
  launch(queue, "lightning, outputs",
         queue.split_tf32() ? answer_kernel<true> : answer_kernel<false>,
         Grid{tiles, l.state.n_heads, l.chunks, kThreads, floats * sizeof(float)}, l);
}

}  // namespace ringside::cuda
#else
namespace ringside::cuda {
void accumulate_mma(const Queue& queue, const Lightning& l) { accumulate_simt(queue, l); }
void answer_mma(const Queue& queue, const Lightning& l) { answer_simt(queue, l); }
}  // namespace ringside::cuda
#endif
