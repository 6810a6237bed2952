// Lightning attention: S = exp(-decay) S + k v^T; out = (q / sqrt(head_dim))^T S. A token or a few
// take the recurrence. Many take chunks (Qin et al. 2024, "Lightning Attention-2"), all at once:
// what each chunk adds to the state, then the states before each chunk, then the outputs. Going
// through the chunks one after another would need no memory for the states, but one block a head
// and columns leaves most of a large device idle: 16 heads of 128 are 32 blocks.
#include <cassert>

#include "lightning.h"

namespace ringside::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kFewTokens =
    4;  // a guess: chunks read and write the state as often, in more launches
// Columns of the state that a block takes, four a thread: 64 bytes a row, two sectors of memory. A
// guess: 16 heads of 128 are 128 blocks.
constexpr int kColumns = 16;
constexpr int kRows = kThreads / (kColumns / 4);  // rows of the state that a block reads at once

// The recurrence for n <= kFewTokens tokens. A block (x: columns, y: head) holds its columns of the
// state in registers, four of every 32nd row a thread, so that the state is read and written once.
// Bound by memory: heads * head_dim^2 floats, both ways.
template <int kRowsEach, bool kAligned>
__global__ void __launch_bounds__(kThreads) recurrence_kernel(Lightning l) {
  __shared__ float keys[kFewTokens][kMaxHeadDim], queries[kFewTokens][kMaxHeadDim];
  __shared__ float4 values[kFewTokens][kColumns / 4];
  __shared__ float4 sums[kFewTokens][kWarps][kColumns / 4];
  const int dim = l.state.head_dim, head = int(blockIdx.y), thread = int(threadIdx.x);
  const int four = thread % (kColumns / 4), first = thread / (kColumns / 4);
  const int column = int(blockIdx.x) * kColumns + 4 * four;
  float* state = state_at(l, head, 0);

  float4 s[kRowsEach];
  for (int j = 0; j < kRowsEach; j++) {
    const int a = first + kRows * j;
    s[j] = load_columns<kAligned>(state + int64_t(a) * dim, column, a < dim ? dim : 0);
  }
  for (int t = 0; t < l.n; t++) {
    const int64_t at = int64_t(t) * l.stride + head * dim;
    for (int a = thread; a < dim; a += kThreads) {
      keys[t][a] = l.k[at + a];
      queries[t][a] = l.q[at + a];
    }
    if (thread < kColumns / 4) values[t][four] = load_columns<false>(l.v + at, column, dim);
  }
  const float decay = expf(-l.state.decay[head]), scale = 1.0f / sqrtf(float(dim));
  __syncthreads();

  for (int t = 0; t < l.n; t++) {
    const float4 v = values[t][four];
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    for (int j = 0; j < kRowsEach; j++) {
      const int a = first + kRows * j;
      if (a >= dim) continue;
      const float k = keys[t][a];
      s[j].x = fmaf(decay, s[j].x, k * v.x);
      s[j].y = fmaf(decay, s[j].y, k * v.y);
      s[j].z = fmaf(decay, s[j].z, k * v.z);
      s[j].w = fmaf(decay, s[j].w, k * v.w);
      add(sum, queries[t][a], s[j]);
    }
    for (int mask = kColumns / 4; mask < kWarp; mask *= 2) {
      sum.x += shuffle_xor(sum.x, mask);
      sum.y += shuffle_xor(sum.y, mask);
      sum.z += shuffle_xor(sum.z, mask);
      sum.w += shuffle_xor(sum.w, mask);
    }
    if (lane_of() < kColumns / 4) sums[t][warp_of()][four] = sum;
  }
  for (int j = 0; j < kRowsEach; j++) {
    const int a = first + kRows * j;
    store_columns<kAligned>(state + int64_t(a) * dim, column, a < dim ? dim : 0, s[j]);
  }
  __syncthreads();
  for (int i = thread; i < l.n * kColumns; i += kThreads) {
    const int t = i / kColumns, c = i % kColumns;
    if (int(blockIdx.x) * kColumns + c >= dim) continue;
    float sum = 0.0f;
    for (int w = 0; w < kWarps; w++) sum += reinterpret_cast<const float*>(sums[t][w])[c];
    l.out[(int64_t(t) * l.state.n_heads + head) * dim + int(blockIdx.x) * kColumns + c] =
        sum * scale;
  }
}

template <bool kAligned>
void recur(const Queue& queue, const Lightning& l) {
  const int dim = l.state.head_dim;
  const Grid grid{(dim + kColumns - 1) / kColumns, l.state.n_heads, 1, kThreads, 0};
  const char* name = "lightning, few tokens";
  if (dim <= 1 * kRows) return launch(queue, name, recurrence_kernel<1, kAligned>, grid, l);
  if (dim <= 2 * kRows) return launch(queue, name, recurrence_kernel<2, kAligned>, grid, l);
  if (dim <= 4 * kRows) return launch(queue, name, recurrence_kernel<4, kAligned>, grid, l);
  launch(queue, name, recurrence_kernel<8, kAligned>, grid, l);
}

// What each chunk adds becomes the state before it, and the state moves on by all of them. A thread
// (x: of a head's floats, y: head) goes through the chunks of one float. Bound by memory, mostly
// the second cache: what the chunks add has just been written.
__global__ void __launch_bounds__(kThreads) befores_kernel(Lightning l) {
  constexpr int kAtOnce = 4;  // chunks whose loads are under way together
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x, size = state_size(l);
  const int head = int(blockIdx.y);
  if (i >= size) return;
  float* state = l.state.s + head * size + i;
  float* places = state_at(l, head, 0) + i;
  const float decay = l.state.decay[head], factor = expf(-decay * float(l.chunk));
  float s = *state;
  for (int first = 0; first < l.chunks; first += kAtOnce) {
    float added[kAtOnce];
    for (int u = 0; u < kAtOnce; u++)
      added[u] = first + u < l.chunks ? places[(first + u) * size] : 0.0f;
    for (int u = 0; u < kAtOnce; u++) {
      const int chunk = first + u;
      if (chunk >= l.chunks) break;
      places[chunk * size] = s;
      const float by = chunk + 1 < l.chunks ? factor : expf(-decay * float(tokens_in(l, chunk)));
      s = fmaf(by, s, added[u]);
    }
  }
  *state = s;
}

bool is_aligned(const void* memory) { return reinterpret_cast<uintptr_t>(memory) % 16 == 0; }

// Whether rows of the state, and of q, k and v, can be read 16 bytes at a time.
bool has_aligned_rows(const Lightning& l) {
  return l.state.head_dim % 4 == 0 && l.stride % 4 == 0 && is_aligned(l.state.s) &&
         is_aligned(l.q) && is_aligned(l.k) && is_aligned(l.v) && is_aligned(l.out);
}

void accumulate(const Queue& queue, const Lightning& l) {
  const bool mma = queue.has_mma() && has_aligned_rows(l);
  mma ? accumulate_mma(queue, l) : accumulate_simt(queue, l);
}

void answer(const Queue& queue, const Lightning& l) {
  const bool mma = queue.has_mma() && has_aligned_rows(l);
  mma ? answer_mma(queue, l) : answer_simt(queue, l);
}

}  // namespace

size_t lightning_scratch_bytes(int n_heads, int head_dim, int max_batch) {
  const size_t chunks = (size_t(max_batch) + kChunk - 1) / kChunk;
  return chunks * size_t(n_heads) * size_t(head_dim) * size_t(head_dim) * sizeof(float);
}

void lightning(const Queue& queue, float* out, const float* q, const float* k, const float* v,
               const LinearState& state, int n, int stride, void* scratch) {
  assert(state.head_dim <= kMaxHeadDim);
  if (n == 0) return;
  Lightning l{out, q, k, v, state, n, stride, nullptr, kChunk, (n + kChunk - 1) / kChunk};
  if (n <= kFewTokens) {
    const bool aligned = state.head_dim % 4 == 0 && is_aligned(state.s);
    return aligned ? recur<true>(queue, l) : recur<false>(queue, l);
  }
  if (l.chunks == 1) {
    answer(queue, l);
    return accumulate(queue, l);
  }
  l.befores = static_cast<float*>(scratch);
  accumulate(queue, l);
  const int64_t size = int64_t(state.head_dim) * state.head_dim;
  launch(queue, "lightning, states", befores_kernel,
         Grid{(size + kThreads - 1) / kThreads, state.n_heads, 1, kThreads, 0}, l);
  answer(queue, l);
}

void advance(const Queue& queue, const float* k, const float* v, const LinearState& state, int n,
             int stride) {
  if (n == 0) return;
  accumulate(queue, {nullptr, nullptr, k, v, state, n, stride, nullptr, n, 1});
}

}  // namespace ringside::cuda
