// What a sequence keeps of its layers, every so many positions; and where a pass is.
#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kThreads = 256;

// A state goes to the snapshot of `position` if one is due there. Almost always nothing is, and the
// blocks end at once: a recorded step can't be asked on the host.
__global__ void __launch_bounds__(kThreads)
    save_state_kernel(Snapshots to, const float* state, Position position) {
  const int p = *position.base + position.offset;
  if (p % to.every != 0) return;
  float* memory = to.memory + int64_t(p / to.every - 1) * to.floats;
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < to.floats; i += step) {
    memory[i] = state[i];
  }
}

// A block a row of a ring, `width` words of it as they lie there: positions p-rows .. p-1 to the
// snapshot of p, if one is due.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    save_rows_kernel(Snapshots to, KvCache cache, Position position, int rows, int width) {
  const int p = *position.base + position.offset, i = int(blockIdx.x);
  if (p % to.every != 0) return;
  float* memory = to.memory + int64_t(p / to.every - 1) * to.floats;
  Word* k = reinterpret_cast<Word*>(memory) + int64_t(i) * width;
  Word* v = k + int64_t(rows) * width;
  const int64_t from = int64_t((p - rows + i) % cache.slots) * width;
  for (int c = int(threadIdx.x); c < width; c += kThreads) {
    k[c] = static_cast<const Word*>(cache.k)[from + c];
    v[c] = static_cast<const Word*>(cache.v)[from + c];
  }
}

// The same back: position first + i into the ring, from the snapshot behind it.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    load_rows_kernel(Snapshots from, KvCache cache, int rows, int first, int width) {
  const int p = first + int(blockIdx.x), index = p / from.every;
  const int row = p - ((index + 1) * from.every - rows);
  const float* memory = from.memory + int64_t(index) * from.floats;
  const Word* k = reinterpret_cast<const Word*>(memory) + int64_t(row) * width;
  const Word* v = k + int64_t(rows) * width;
  const int64_t to = int64_t(p % cache.slots) * width;
  for (int c = int(threadIdx.x); c < width; c += kThreads) {
    static_cast<Word*>(cache.k)[to + c] = k[c];
    static_cast<Word*>(cache.v)[to + c] = v[c];
  }
}

__global__ void move_to_kernel(int* base, int position) { *base = position; }
__global__ void move_kernel(int* base, int n) { *base += n; }

}  // namespace

void save_state(const Queue& queue, const Snapshots& to, const float* state, Position position) {
  if (to.floats == 0) return;
  const int64_t blocks = (to.floats + 4 * kThreads - 1) / (4 * kThreads);
  launch(queue, "save_state", save_state_kernel,
         {.x = blocks < queue.processors() ? blocks : queue.processors(), .threads = kThreads}, to,
         state, position);
}

void save_rows(const Queue& queue, const Snapshots& to, const KvCache& cache, int rows,
               Position position) {
  if (rows == 0) return;
  const int64_t bytes = cache.row_bytes();
  launch(queue, "save_rows",
         bytes % 4 == 0 ? save_rows_kernel<uint32_t> : save_rows_kernel<uint16_t>,
         {.x = rows, .threads = kThreads}, to, cache, position, rows,
         int(bytes % 4 == 0 ? bytes / 4 : bytes / 2));
}

void load_rows(const Queue& queue, const Snapshots& from, const KvCache& cache, int rows, int first,
               int position) {
  if (position <= first) return;
  const int64_t bytes = cache.row_bytes();
  launch(queue, "load_rows",
         bytes % 4 == 0 ? load_rows_kernel<uint32_t> : load_rows_kernel<uint16_t>,
         {.x = position - first, .threads = kThreads}, from, cache, rows, first,
         int(bytes % 4 == 0 ? bytes / 4 : bytes / 2));
}

void move_to(const Queue& queue, int* base, int position) {
  launch(queue, "move to", move_to_kernel, {.threads = 1}, base, position);
}

void move(const Queue& queue, int* base, int n) {
  launch(queue, "move", move_kernel, {.threads = 1}, base, n);
}

}  // namespace ringside::cuda
