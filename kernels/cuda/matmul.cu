// Products: which kernel makes them.
#include <algorithm>

#include "format.h"
#include "gpu.h"
#include "work.h"

namespace ringside::cuda {

TileShape shape_of(Size size, Type type) {
  if (size == Size::small) return {32, 32};
  if (size == Size::medium) return {64, 64};
  return {is_integer(type) ? 64 : 128, 128};
}

void launch_tiles(const Queue& queue, const TileWork& work, Type type, Size size, int64_t x,
                  int64_t y) {
  if (x == 0 || y == 0) return;
#if RINGSIDE_MMA
  if (queue.has_mma()) return launch_tensor_tiles(queue, work, type, size, x, y);
#endif
  launch_plain_tiles(queue, work, type, size, x, y);
}

namespace {

// Of a size, for n tokens and the parts of a type.
int64_t blocks_of(Size size, std::span<const Matrix> parts, Type type, int n) {
  const TileShape shape = shape_of(size, type);
  int64_t blocks = 0;
  for (const Matrix& w : parts)
    if (tile_type(w) == type) blocks += (w.rows + shape.rows - 1) / shape.rows;
  return blocks * ((n + shape.tokens - 1) / shape.tokens);
}

// The largest that still gives every processor a block.
Size size_for(const Queue& queue, std::span<const Matrix> parts, Type type, int n) {
  const auto fills = [&](Size size) {
    return n > shape_of(size, type).tokens / 2 &&
           blocks_of(size, parts, type, n) >= queue.processors();
  };
  if (queue.has_mma() && fills(Size::large)) return Size::large;
  return fills(Size::medium) ? Size::medium : Size::small;
}

// The parts of a type: a launch for every kMaxParts.
void multiply_type(const Queue& queue, TileWork work, std::span<const Matrix> parts, Type type) {
  const Size size = size_for(queue, parts, type, work.n);
  const TileShape shape = shape_of(size, type);
  const auto flush = [&] {
    const int tokens = (work.n + shape.tokens - 1) / shape.tokens;
    launch_tiles(queue, work, type, size, work.parts.blocks(), tokens);
    work.parts = {};
  };
  int row = 0;
  for (const Matrix& w : parts) {
    if (work.parts.count == kMaxParts) flush();
    if (tile_type(w) == type) work.parts.add(w, row, shape.rows);
    row += w.rows;
  }
  flush();
}

void multiply_many(const Queue& queue, const TileWork& work, std::span<const Matrix> parts) {
  unsigned done = 0;  // bits of types
  for (const Matrix& w : parts) {
    const Type type = tile_type(w);
    if ((done >> unsigned(type) & 1) == 0) multiply_type(queue, work, parts, type);
    done |= 1u << unsigned(type);
  }
}

}  // namespace

void multiply(const Queue& queue, float* y, std::span<const Matrix> parts, const Activations& x,
              int n, int y_stride) {
  if (n == 0) return;
  if (n <= kMaxColumns) return multiply_few(queue, y, parts, x, n, y_stride);
  TileWork work;
  work.x = x;
  work.y = y;
  work.y_stride = y_stride;
  work.n = n;
  multiply_many(queue, work, parts);
}

// Many tokens: the second product finds the first one in its place.
void gate_up(const Queue& queue, float* hidden, const Activations& rounded, unsigned forms,
             const Matrix& gate, const Matrix& up, const Activations& x, int n) {
  if (n == 0) return;
  if (n <= kMaxColumns) return gate_up_few(queue, hidden, rounded, forms, gate, up, x, n);
  TileWork work;
  work.x = x;
  work.y = hidden;
  work.y_stride = gate.rows;
  work.n = n;
  multiply_many(queue, work, {&gate, 1});
  work.gates = true;
  multiply_many(queue, work, {&up, 1});
  prepare(queue, rounded, n, forms);
}

}  // namespace ringside::cuda
