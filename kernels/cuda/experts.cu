// The feed-forwards of a mixture of experts. A token's choice of one is called a place: place i *
// top_k + j is of token i. Few tokens read the weights of each place's expert on their own; many
// are sorted by expert, and each expert multiplies its places together.
#include <algorithm>

#include "hidden.h"
#include "work.h"

namespace ringside::cuda {

namespace {

// What lies in the scratch memory, for so many places.
struct Scratch {
  Activations hidden;  // a row a place, in all forms
  float* gate;         // hidden's floats
  float* out;          // [places, dim]
  int* order;          // the places, sorted by expert
  int* position;       // of each place in that order
  ExpertTile* tiles;
  size_t bytes = 0;

  Scratch(const ExpertTable& table, int64_t places, void* memory) {
    const int64_t wide = places * table.hidden;
    auto* at = static_cast<uint8_t*>(memory);
    const auto take = [&](auto*& array, int64_t count) {
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(at + bytes);
      bytes += size_t(padded(count * int64_t(sizeof *array)));
    };
    take(gate, wide);
    take(hidden.q, wide);
    take(hidden.groups, wide / kGroup);
    take(hidden.bf16, wide);
    take(out, places * table.dim);
    take(order, places);
    take(position, places);
    take(tiles, max_tiles(table, places, shape_of(Size::small, Type::f32).tokens));
    hidden.f32 = gate;
    hidden.cols = table.hidden;
  }

  static int64_t max_tiles(const ExpertTable& table, int64_t places, int tokens) {
    return places / tokens + std::min<int64_t>(table.count, places);
  }
};

// ---- few tokens ----

// hidden of one place, 32 columns a block (hidden.h).
__global__ void __launch_bounds__(kHiddenWarps* kWarp, kHiddenBlocks<1>)
    expert_hidden_kernel(float* hidden, Activations rounded, unsigned forms,
                         const FeedForward* experts, const int* chosen, int top_k, Activations x) {
  const int place = int(blockIdx.y), chosen_one = chosen[place];
  if (chosen_one < 0) return;
  const FeedForward& expert = experts[chosen_one];
  const auto pick = [&](int i) -> const Matrix& { return i == 0 ? expert.gate : expert.up; };
  make_hidden<1>(hidden + int64_t(place) * rounded.cols, from_row(rounded, place), forms, pick,
                 from_row(x, place / top_k), int(blockIdx.x) * kGroup, 1);
}

constexpr int kDownWarps = 8;
constexpr int kDownRows = 8;  // a block: with eight experts a warp has four tasks. A guess

// y += the sum of weight * (down hidden) over a token's places, kDownRows rows a block. A warp
// takes one place and kRows rows at a time; what they give is added up in the order of choice.
// Bound by reading the weights.
__global__ void __launch_bounds__(kDownWarps* kWarp, 2)
    expert_down_kernel(float* y, const FeedForward* experts, const int* chosen,
                       const float* weights, int top_k, int dim, Activations hidden) {
  auto* products = shared_memory<float>();  // [top_k][kDownRows]
  const int token = int(blockIdx.y), first = int(blockIdx.x) * kDownRows;
  chosen += int64_t(token) * top_k;
  weights += int64_t(token) * top_k;
  constexpr int kTasks = kDownRows / kRows;  // a place
  for (int task = warp_of(); task < top_k * kTasks; task += kDownWarps) {
    const int j = task / kTasks, row = task % kTasks * kRows;
    if (chosen[j] < 0 || first + row >= dim) continue;
    const Activations x = from_row(hidden, int64_t(token) * top_k + j);
    const float sum = multiply_rows<1>({experts[chosen[j]].down, x, first + row, 1});
    int which;
    if (has_sum<kRows>(which)) products[j * kDownRows + row + which] = sum;
  }
  __syncthreads();
  const int r = int(threadIdx.x);
  if (r >= kDownRows || first + r >= dim) return;
  float sum = y[int64_t(token) * dim + first + r];
  for (int j = 0; j < top_k; j++) {
    if (chosen[j] < 0) continue;
    const float* bias = experts[chosen[j]].down.bias;
    sum += weights[j] * (products[j * kDownRows + r] + (bias != nullptr ? bias[first + r] : 0.0f));
  }
  y[int64_t(token) * dim + first + r] = sum;
}

void run_few(const Queue& queue, float* y, const ExpertTable& table, const int* chosen,
             const float* weights, int top_k, const Activations& x, int n, const Scratch& scratch) {
  launch(queue, "expert_hidden", expert_hidden_kernel,
         {(table.hidden + kGroup - 1) / kGroup, n * top_k, 1, kHiddenWarps * kWarp, 0},
         scratch.gate, scratch.hidden, forms_of_all(table.down_types), table.experts, chosen, top_k,
         x);
  launch(queue, "expert_down", expert_down_kernel,
         {(table.dim + kDownRows - 1) / kDownRows, n, 1, kDownWarps * kWarp,
          size_t(top_k * kDownRows) * sizeof(float)},
         y, table.experts, chosen, weights, top_k, table.dim, scratch.hidden);
}

// ---- many tokens ----

constexpr int kSortThreads = 1024;

// first[e] = the sum of size(i) over i < e, by one warp; the sum of all is returned.
template <typename Size>
__device__ int add_up(int* first, int count, Size size) {
  int before = 0;
  for (int base = 0; base < count; base += kWarp) {
    const int e = base + lane_of(), own = e < count ? size(e) : 0;
    int sum = own;
    for (int delta = 1; delta < kWarp; delta *= 2) {
      const int other = shuffle_up(sum, delta);
      if (lane_of() >= delta) sum += other;
    }
    if (e < count) first[e] = before + sum - own;
    before += shuffle(sum, kWarp - 1);
  }
  return before;
}

// Sorts the places by expert, by counting, and cuts each expert's into tiles. One block: a few
// thousand places, and all of it waits for shared memory. Which of an expert's places comes first
// is up to the threads, and changes no result: a token's sums don't depend on its neighbours.
__global__ void __launch_bounds__(kSortThreads)
    sort_kernel(int* order, int* position, ExpertTile* tiles, int max_tiles, int tile_tokens,
                const int* chosen, int places, int count) {
  auto* counts = shared_memory<int>();  // each [count]
  int *next = counts + count, *first_tile = next + count;
  const int thread = int(threadIdx.x);
  for (int e = thread; e < count; e += kSortThreads) counts[e] = 0;
  for (int i = thread; i < max_tiles; i += kSortThreads) tiles[i].expert = -1;
  __syncthreads();
  for (int p = thread; p < places; p += kSortThreads)
    if (chosen[p] >= 0) atomicAdd(&counts[chosen[p]], 1);
  __syncthreads();
  const auto tiles_of = [&](int e) { return (counts[e] + tile_tokens - 1) / tile_tokens; };
  if (warp_of() == 0) add_up(next, count, [&](int e) { return counts[e]; });
  if (warp_of() == 1) add_up(first_tile, count, tiles_of);
  __syncthreads();
  for (int e = thread; e < count; e += kSortThreads)
    for (int i = 0; i < tiles_of(e); i++) {
      const int begin = i * tile_tokens;
      tiles[first_tile[e] + i] = {e, next[e] + begin, least(tile_tokens, counts[e] - begin)};
    }
  __syncthreads();
  for (int p = thread; p < places; p += kSortThreads) {
    if (chosen[p] < 0) continue;
    const int at = atomicAdd(&next[chosen[p]], 1);
    order[at] = p;
    position[p] = at;
  }
}

constexpr int kCombineThreads = 128;

// y += the sum of weight * out over a token's places, in the order of choice. A thread a column.
// Bound by reading `out`, which is in the L2 cache as a rule.
__global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(float* y, const float* out, const int* chosen, const int* position,
                   const float* weights, int top_k, int dim) {
  const int c = int(blockIdx.x) * kCombineThreads + int(threadIdx.x);
  if (c >= dim) return;
  const int64_t token = blockIdx.y;
  float sum = y[token * dim + c];
  for (int64_t p = token * top_k; p < (token + 1) * top_k; p++)
    if (chosen[p] >= 0) sum += weights[p] * out[int64_t(position[p]) * dim + c];
  y[token * dim + c] = sum;
}

// One of the experts' matrices, for all of them: a launch a type, whose blocks leave at once where
// the expert's is another.
void multiply_experts(const Queue& queue, const TileWork& work, unsigned types, Size size, int rows,
                      int max_tiles) {
  const unsigned narrow = 1u << int(Type::f16) | 1u << int(Type::bf16) | 1u << int(Type::f8);
  if ((types & narrow) != 0) types |= 1u << int(Type::f32);  // see tile_type()
  const int tall = shape_of(size, Type::f32).rows, blocks = (rows + tall - 1) / tall;
  for (int type = 0; type <= int(Type::q6_k); type++)
    if ((types >> type & 1) != 0) launch_tiles(queue, work, Type(type), size, blocks, max_tiles);
}

void run_many(const Queue& queue, float* y, const ExpertTable& table, const int* chosen,
              const float* weights, int top_k, const Activations& x, int n,
              const Scratch& scratch) {
  const int places = n * top_k;
  // A tile of 64 is worth its weight from 48 places an expert on, if they are spread evenly.
  const Size size = places >= table.count * 48 ? Size::medium : Size::small;
  const int tokens = shape_of(size, Type::f32).tokens;
  const int max_tiles = int(Scratch::max_tiles(table, places, tokens));
  launch(queue, "sort", sort_kernel, {1, 1, 1, kSortThreads, size_t(table.count) * 3 * sizeof(int)},
         scratch.order, scratch.position, scratch.tiles, max_tiles, tokens, chosen, places,
         table.count);

  TileWork work;
  work.experts = table.experts;
  work.tiles = scratch.tiles;
  work.places = scratch.order;
  work.top_k = top_k;
  work.x = x;
  work.y = scratch.gate;
  work.y_stride = table.hidden;
  multiply_experts(queue, work, table.types, size, table.hidden, max_tiles);
  work.which = Which::up;
  work.gates = true;
  multiply_experts(queue, work, table.types, size, table.hidden, max_tiles);
  prepare(queue, scratch.hidden, places, forms_of_all(table.down_types));

  work.which = Which::down;
  work.gates = false;
  work.places = nullptr;
  work.x = scratch.hidden;
  work.y = scratch.out;
  work.y_stride = table.dim;
  multiply_experts(queue, work, table.down_types, size, table.dim, max_tiles);
  launch(queue, "combine", combine_kernel,
         {(table.dim + kCombineThreads - 1) / kCombineThreads, n, 1, kCombineThreads, 0}, y,
         scratch.out, chosen, scratch.position, weights, top_k, table.dim);
}

}  // namespace

size_t expert_scratch_bytes(const ExpertTable& table, int max_batch, int top_k) {
  return Scratch(table, int64_t(max_batch) * top_k, nullptr).bytes;
}

void run_experts(const Queue& queue, float* y, const ExpertTable& table, const int* chosen,
                 const float* weights, int top_k, const Activations& x, int n, void* scratch) {
  if (n == 0) return;
  const Scratch memory(table, int64_t(n) * top_k, scratch);
  const auto run = n <= kMaxColumns ? run_few : run_many;
  run(queue, y, table, chosen, weights, top_k, x, n, memory);
}

}  // namespace ringside::cuda
