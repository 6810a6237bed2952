// Chunks of lightning attention without tensor cores: what lightning_mma.cu does, for devices that
// have none and for rows that are not aligned.
#include "lightning.h"

namespace ringside::cuda {
namespace {

constexpr int kThreads = 256;  // 16 x 16, each with 4 x 4 sums
constexpr int kTile = 64;      // rows and columns of a block
constexpr int kDepth = 32;     // of the inner dimension, in shared memory at once
constexpr int kWidth = kTile + 4;
static_assert(kChunk == kTile);

using Sums = float[4][4];  // rows 4 (thread / 16) .. + 3, columns 4 (thread % 16) .. + 3

__device__ int row_of() { return int(threadIdx.x) / 16 * 4; }
__device__ int column_of() { return int(threadIdx.x) % 16 * 4; }

// sums += a^T b, for a, b [depth, kWidth] in shared memory.
__device__ void multiply_tile(Sums& sums, const float* a, const float* b, int depth) {
  for (int i = 0; i < depth; i++) {
    const float4 x = *reinterpret_cast<const float4*>(a + i * kWidth + row_of());
    const float4 y = *reinterpret_cast<const float4*>(b + i * kWidth + column_of());
    const float rows[4] = {x.x, x.y, x.z, x.w}, columns[4] = {y.x, y.y, y.z, y.w};
    for (int r = 0; r < 4; r++)
      for (int c = 0; c < 4; c++) sums[r][c] = fmaf(rows[r], columns[c], sums[r][c]);
  }
}

// rows x kTile floats of `from`, whose rows lie `stride` apart, zeros beyond `valid_rows` and
// `valid_columns`; transposed: the other way around in shared memory.
__device__ void stage(float* to, const float* from, int64_t stride, int rows, int columns,
                      int valid_rows, int valid_columns, bool transposed) {
  for (int i = int(threadIdx.x); i < rows * columns; i += kThreads) {
    const int r = i / columns, c = i % columns;
    to[transposed ? c * kWidth + r : r * kWidth + c] =
        r < valid_rows && c < valid_columns ? from[r * stride + c] : 0.0f;
  }
}

// sum_i exp(-decay (tokens - 1 - i)) k_i v_i^T of a chunk. A block (x: tile of the state, y: head,
// z: chunk) goes over the chunk's tokens. Bound by reads of shared memory: two of four floats for
// 16 multiplications.
__global__ void __launch_bounds__(kThreads) accumulate_kernel(Lightning l) {
  __shared__ float4 staged[2][kDepth * kWidth / 4];
  float* keys = reinterpret_cast<float*>(staged[0]);
  float* values = reinterpret_cast<float*>(staged[1]);
  const int dim = l.state.head_dim, tiles = (dim + kTile - 1) / kTile;
  const int head = int(blockIdx.y), chunk = int(blockIdx.z), tokens = tokens_in(l, chunk);
  const int a = int(blockIdx.x) / tiles * kTile, c = int(blockIdx.x) % tiles * kTile;
  const float decay = l.state.decay[head];
  const int64_t at = int64_t(chunk) * l.chunk * l.stride + head * dim;

  Sums sums = {};
  for (int first = 0; first < tokens; first += kDepth) {
    const int64_t from = at + int64_t(first) * l.stride;
    __syncthreads();
    stage(keys, l.k + from + a, l.stride, kDepth, kTile, tokens - first, dim - a, false);
    stage(values, l.v + from + c, l.stride, kDepth, kTile, tokens - first, dim - c, false);
    __syncthreads();
    for (int i = int(threadIdx.x); i < kDepth * kTile; i += kThreads) {
      const int t = first + i / kTile;
      if (t < tokens) keys[i / kTile * kWidth + i % kTile] *= expf(-decay * float(tokens - 1 - t));
    }
    __syncthreads();
    multiply_tile(sums, keys, values, kDepth);
  }

  float* state = state_at(l, head, chunk);
  const float factor = l.befores == nullptr ? expf(-decay * float(tokens)) : 0.0f;
  for (int r = 0; r < 4; r++)
    for (int u = 0; u < 4; u++) {
      if (a + row_of() + r >= dim || c + column_of() + u >= dim) continue;
      float& s = state[int64_t(a + row_of() + r) * dim + c + column_of() + u];
      s = l.befores == nullptr ? fmaf(factor, s, sums[r][u]) : sums[r][u];
    }
}

// out_i = q_i^T (exp(-decay (i+1)) S + sum_{j<=i} exp(-decay (i-j)) k_j v_j^T) / sqrt(head_dim). A
// block (x: columns, y: head, z: chunk) has all tokens of the chunk; it goes over the columns of q
// for the scores and for q S together.
__global__ void __launch_bounds__(kThreads) answer_kernel(Lightning l) {
  __shared__ float4 staged[2][kChunk * kWidth / 4];
  float* left = reinterpret_cast<float*>(staged[0]);
  float* right = reinterpret_cast<float*>(staged[1]);
  const int dim = l.state.head_dim, head = int(blockIdx.y), chunk = int(blockIdx.z);
  const int tokens = tokens_in(l, chunk), column = int(blockIdx.x) * kTile;
  const float decay = l.state.decay[head], scale = 1.0f / sqrtf(float(dim));
  const int64_t at = int64_t(chunk) * l.chunk * l.stride + head * dim;
  const float* state = state_at(l, head, chunk);

  float *queries = left, *keys = right, *rows = right + kDepth * kWidth;
  Sums scores = {}, sums = {};
  for (int a = 0; a < dim; a += kDepth) {
    __syncthreads();
    stage(queries, l.q + at + a, l.stride, kTile, kDepth, tokens, dim - a, true);
    stage(keys, l.k + at + a, l.stride, kTile, kDepth, tokens, dim - a, true);
    stage(rows, state + int64_t(a) * dim + column, dim, kDepth, kTile, dim - a, dim - column,
          false);
    __syncthreads();
    multiply_tile(scores, queries, keys, kDepth);
    multiply_tile(sums, queries, rows, kDepth);
  }

  __syncthreads();
  for (int r = 0; r < 4; r++) {
    const int i = row_of() + r;
    const float factor = expf(-decay * float(i + 1));
    for (int u = 0; u < 4; u++) {
      const int j = column_of() + u;
      sums[r][u] *= factor;
      left[j * kWidth + i] = j <= i ? scores[r][u] * expf(-decay * float(i - j)) : 0.0f;
    }
  }
  stage(right, l.v + at + column, l.stride, kTile, kTile, tokens, dim - column, false);
  __syncthreads();
  multiply_tile(sums, left, right, kChunk);
  for (int r = 0; r < 4; r++)
    for (int u = 0; u < 4; u++) {
      const int i = row_of() + r, c = column + column_of() + u;
      if (i >= tokens || c >= dim) continue;
      const int64_t token = int64_t(chunk) * l.chunk + i;
      l.out[(token * l.state.n_heads + head) * dim + c] = sums[r][u] * scale;
    }
}

}  // namespace

void accumulate_simt(const Queue& queue, const Lightning& l) {
  const int64_t tiles = (l.state.head_dim + kTile - 1) / kTile;
  launch(queue, "lightning, keys and values", accumulate_kernel,
         Grid{tiles * tiles, l.state.n_heads, l.chunks, kThreads, 0}, l);
}

void answer_simt(const Queue& queue, const Lightning& l) {
  const int64_t tiles = (l.state.head_dim + kTile - 1) / kTile;
  launch(queue, "lightning, outputs", answer_kernel,
         Grid{tiles, l.state.n_heads, l.chunks, kThreads, 0}, l);
}

}  // namespace ringside::cuda
