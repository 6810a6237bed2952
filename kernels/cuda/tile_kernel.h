// The kernel of products with many columns of activations, and its launcher.
#pragma once

#include <type_traits>

#include "tile_sums.h"

namespace ringside::cuda {

// Tiles that registers and 48 KB of shared memory have room for twice a processor. Of integers the
// scales take as many registers as half of the sums; more tokens than rows, as it is the weights
// that are unpacked.
template <Type kType>
using Large =
    std::conditional_t<is_integer(kType), Shape<64, 128, 2, 4, 1>, Shape<128, 128, 2, 4, 1>>;
template <Type kType>
using Medium = Shape<64, 64, 2, 2, 1>;
// Few tokens: bound by reading the weights, so four warps read a row, and blocks are many. All
// three are guesses from counting registers, shared memory and instructions: nothing here was
// measured.
template <Type kType>
using Small = Shape<32, 32, 1, 1, 4>;

// What block (x, y) has to do, if anything.
template <typename S>
__device__ inline bool assign(TileTask& task, const TileWork& work, int x, int y) {
  task.places = work.places;
  task.top_k = work.top_k;
  int column = 0;
  if (work.experts == nullptr) {
    const int part = work.parts.part_of(x);
    task.w = work.parts.w[part];
    task.row = (x - work.parts.first_block[part]) * S::kRows;
    task.first = y * S::kTokens;
    task.count = work.n - task.first;
    column = work.parts.first_row[part];
  } else {
    const ExpertTile tile = work.tiles[y];
    if (tile.expert < 0) return false;
    const FeedForward& expert = work.experts[tile.expert];
    task.w = work.which == Which::gate ? expert.gate
             : work.which == Which::up ? expert.up
                                       : expert.down;
    task.row = x * S::kRows;
    task.first = tile.first;
    task.count = tile.count;
  }
  task.y = task.first * work.y_stride + column;
  return true;
}

// y = x w^T + bias, or y = silu(y) * that. A block has kRows rows and kTokens tokens of it. Bound
// by the tensor cores and, for integers, as much by scaling their sums; with few tokens by reading
// the weights.
template <Type kType, typename S, typename Sums>
__global__ void __launch_bounds__(S::kThreads, 2) tile_kernel(TileWork work) {
  auto& task = *shared_memory<TileTask>();
  __shared__ bool taken;
  if (threadIdx.x == 0)
    taken = assign<S>(task, work, int(blockIdx.x), int(blockIdx.y)) && tile_type(task.w) == kType;
  __syncthreads();
  if (!taken) return;

  WeightLoader<kType, S> weights(task);
  TokenLoader<kType, S> tokens(task, work.x);
  Sums sums;
  const int steps = weights.steps();
  weights.load(0);
  tokens.load(Buffer<S>(0), 0);
  for (int step = 0; step < steps; step++) {
    const Buffer<S> buffer(step % 2);  // last read two steps ago, before the barrier of the last
    weights.store(buffer, step);
    tokens.store(buffer);
    wait_copies<0>();
    __syncthreads();
    if (step + 1 < steps) {
      weights.load(step + 1);
      tokens.load(Buffer<S>((step + 1) % 2), step + 1);
    }
    sums.multiply(buffer);
  }
  add_depths<S>(sums);
  if (Place<S>::depth() > 0) return;

  sums.each([&](int row, int token, float sum) {
    row += task.row;
    if (row >= task.w.rows || token >= task.count) return;
    float& y = work.y[task.y + token * work.y_stride + row];
    const float value = sum + (task.w.bias != nullptr ? task.w.bias[row] : 0.0f);
    y = work.gates ? silu_of(y) * value : value;
  });
}

template <Type kType, typename S, template <Type, typename> typename Sums>
void launch_shape(const Queue& queue, const TileWork& work, int64_t x, int64_t y) {
  launch(queue, "matmul", tile_kernel<kType, S, Sums<kType, S>>, {x, y, 1, S::kThreads, S::kShared},
         work);
}

template <template <Type> typename S, template <Type, typename> typename Sums>
void launch_type(const Queue& queue, const TileWork& work, Type type, int64_t x, int64_t y) {
  const auto run = [&](auto tag) {
    constexpr Type kType = decltype(tag)::kValue;
    launch_shape<kType, S<kType>, Sums>(queue, work, x, y);
  };
  switch (type) {
    case Type::f32:
      return run(TypeTag<Type::f32>());
    case Type::f16:
      return run(TypeTag<Type::f16>());
    case Type::bf16:
      return run(TypeTag<Type::bf16>());
    case Type::f8:
      return run(TypeTag<Type::f8>());
    case Type::int4:
      return run(TypeTag<Type::int4>());
    case Type::q8_0:
      return run(TypeTag<Type::q8_0>());
    case Type::q4_0:
      return run(TypeTag<Type::q4_0>());
    case Type::q4_1:
      return run(TypeTag<Type::q4_1>());
    case Type::q5_0:
      return run(TypeTag<Type::q5_0>());
    case Type::q5_1:
      return run(TypeTag<Type::q5_1>());
    case Type::q4_k:
      return run(TypeTag<Type::q4_k>());
    case Type::q5_k:
      return run(TypeTag<Type::q5_k>());
    case Type::q6_k:
      return run(TypeTag<Type::q6_k>());
  }
}

}  // namespace ringside::cuda
