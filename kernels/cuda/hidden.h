// The hidden activations of a feed-forward for few tokens: both products, SwiGLU and rounding.
#pragma once

#include "rows.h"

namespace ringside::cuda {

// Warps of a block that makes 32 columns of hidden, a whole group: at least one a token.
constexpr int kHiddenWarps = 8;

// Blocks that a processor is to hold at least, which limits the registers: 16 or 8 warps.
template <int N>
constexpr int kHiddenBlocks = N <= 4 ? 2 : 1;

// pick(0) is gate, pick(1) up. hidden = silu(gate x) * (up x) for its columns first .. first+31 and
// rows 0 .. n-1, and the forms of that as `forms` asks. The whole block calls it, of kHiddenWarps
// warps. Bound by reading the weights (rows.h).
template <int N, typename Pick>
__device__ inline void make_hidden(float* hidden, const Activations& rounded, unsigned forms,
                                   Pick pick, const Activations& x, int first, int n) {
  __shared__ float products[2][N][kGroup];
  constexpr int kTasks = kGroup / kRows;  // a matrix
  // The block's size is not a constant here, which keeps the two products one piece of code.
  for (int task = warp_of(); task < 2 * kTasks; task += int(blockDim.x) / kWarp) {
    const int matrix = task / kTasks, row = task % kTasks * kRows;
    const Matrix& w = pick(matrix);
    if (first + row >= w.rows) continue;
    const float sum = multiply_rows<N>({w, x, first + row, n});
    int which;
    if (has_sum<kRows * N>(which)) products[matrix][which % N][row + which / N] = sum;
  }
  __syncthreads();
  const int i = warp_of(), column = first + lane_of();
  if (i >= n) return;
  const Matrix &gate = pick(0), &up = pick(1);
  float value = 0.0f;
  if (column < gate.rows) {
    const float g = products[0][i][lane_of()], u = products[1][i][lane_of()];
    const float gate_bias = gate.bias != nullptr ? gate.bias[column] : 0.0f;
    const float up_bias = up.bias != nullptr ? up.bias[column] : 0.0f;
    value = silu_of(g + gate_bias) * (u + up_bias);
    hidden[int64_t(i) * gate.rows + column] = value;
  }
  store_forms(rounded, forms, i, column, value);
}

}  // namespace ringside::cuda
