// Lightning attention's files among themselves.
#pragma once

#include "ops.h"
#include "products.h"

namespace ringside::cuda {

// Tokens that meet each other as scores; those before them are in the state.
constexpr int kChunk = 64;

// What is asked; the kernels take it as it is. q null: the state alone.
struct Lightning {
  float* out;
  const float *q, *k, *v;
  LinearState state;
  int n, stride;
  // States before each chunk [n_heads, chunks, head_dim, head_dim]; null: one chunk, the state's.
  float* befores;
  int chunk;  // tokens
  int chunks;
};

__device__ inline int64_t state_size(const Lightning& l) {
  return int64_t(l.state.head_dim) * l.state.head_dim;
}
// Where the state of `head` before `chunk` is, or is to be.
__device__ inline float* state_at(const Lightning& l, int head, int chunk) {
  if (l.befores == nullptr) return l.state.s + head * state_size(l);
  return l.befores + (int64_t(head) * l.chunks + chunk) * state_size(l);
}
__device__ inline int tokens_in(const Lightning& l, int chunk) {
  return lesser(l.chunk, l.n - chunk * l.chunk);
}

// Of each chunk k^T v with decay, to its place in `befores`, or the state is moved on by it.
// Then, of each chunk, the outputs, from the states before.
void accumulate_mma(const Queue& queue, const Lightning& lightning);
void accumulate_simt(const Queue& queue, const Lightning& lightning);
void answer_mma(const Queue& queue, const Lightning& lightning);
void answer_simt(const Queue& queue, const Lightning& lightning);

}  // namespace ringside::cuda
