// What the kernels of products are handed, and who launches them: between matmul.cu, matvec.cu and
// experts.cu.
#pragma once

#include <span>

#include "ops.h"

namespace ringside::cuda {

constexpr int kMaxColumns = 8;  // columns of activations that one pass over rows of weights meets
constexpr int kMaxParts = 4;    // q, k, v and a gate: more are made in several launches

// Matrices whose products are made in one launch: their rows follow each other in the result.
struct Parts {
  Matrix w[kMaxParts];
  int first_block[kMaxParts + 1] = {};  // of a grid; each part has whole blocks
  int first_row[kMaxParts] = {};        // in the result
  int count = 0;

  void add(const Matrix& matrix, int row, int rows_per_block) {
    w[count] = matrix;
    first_row[count] = row;
    const int blocks = (matrix.rows + rows_per_block - 1) / rows_per_block;
    first_block[count + 1] = first_block[count] + blocks;
    count++;
  }
  int blocks() const { return first_block[count]; }

  __host__ __device__ int part_of(int block) const {
    int part = 0;
    for (int i = 1; i < kMaxParts; i++)
      if (i < count && block >= first_block[i]) part = i;
    return part;
  }
};

// multiply() and gate_up() for n <= kMaxColumns.
void multiply_few(const Queue& queue, float* y, std::span<const Matrix> parts, const Activations& x,
                  int n, int y_stride);
void gate_up_few(const Queue& queue, float* hidden, const Activations& rounded, unsigned forms,
                 const Matrix& gate, const Matrix& up, const Activations& x, int n);

// The type whose kernel multiplies tiles of w: its own, or where rows have no whole pieces of 16
// (f16: 8) columns of one scale, f32's, which reads any floats.
__host__ __device__ inline Type tile_type(const Matrix& w) {
  if (w.type >= Type::int4 || w.type == Type::f32) return w.type;
  if (w.type == Type::f8 && w.block % 16 != 0) return Type::f32;
  return w.cols % (w.type == Type::f16 ? 8 : 16) == 0 ? w.type : Type::f32;
}

// Places (first .. first+count-1 in the sorted order) of one expert that a block has as its tokens.
struct ExpertTile {
  int expert, first, count;  // expert -1: none
};

enum class Which { gate, up, down };

// Products of many tokens: of `parts`, or where there are experts, of each tile's expert.
struct TileWork {
  Parts parts;
  const FeedForward* experts = nullptr;
  const ExpertTile* tiles = nullptr;
  const int* places = nullptr;  // in sorted order; null: the tokens of x are in that order
  int top_k = 1;
  Which which = Which::gate;
  Activations x;
  float* y = nullptr;
  int64_t y_stride = 0;
  int n = 0;
  bool gates = false;  // y = silu(y) * product, in place of y = product
};

// The sizes of a tile: see tile_kernel.h. Without tensor cores there is no large one.
enum class Size { small, medium, large };
struct TileShape {
  int rows, tokens;
};
TileShape shape_of(Size size, Type type);

// x * y blocks of that size, for the matrices whose tile_type() is `type`.
void launch_tiles(const Queue& queue, const TileWork& work, Type type, Size size, int64_t x,
                  int64_t y);
void launch_tensor_tiles(const Queue& queue, const TileWork& work, Type type, Size size, int64_t x,
                         int64_t y);
void launch_plain_tiles(const Queue& queue, const TileWork& work, Type type, Size size, int64_t x,
                        int64_t y);

}  // namespace ringside::cuda
