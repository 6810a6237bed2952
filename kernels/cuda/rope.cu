// Norm and rotation of heads, and their keys and values into the cache, in one pass over qkv.
#include "cached.h"
#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kWarps = 4;  // heads a block

// What rope_kernel does of a head: rotate it in place, and for k and v keep it.
struct Heads {
  const float* q_norm;
  const float* k_norm;
  int n_heads, n_kv_heads, head_dim;
  float eps;
};

// Of a row [q heads | k heads | v heads], a warp a head: RMSNorm over the head (where there is a
// weight), then channels (a, b) of each pair turn by position * frequency: (a cos - b sin, b cos +
// a sin) * scale. k and v go to slot position mod slots, and to the sinks' rows as well. Bound by
// bandwidth; the head waits in shared memory because pairs lie in different lanes.
__global__ void __launch_bounds__(kWarps* kWarp)
    rope_kernel(float* qkv, Heads heads, Rope rope, KvCache cache, Position position, int stride,
                int total) {
  __shared__ float values[kWarps][kMaxHeadDim];
  const int head = int(blockIdx.x) * kWarps + warp_of(), row = int(blockIdx.y);
  if (head >= total) return;
  const int dim = heads.head_dim, lane = lane_of();
  float* x = qkv + int64_t(row) * stride + head * dim;
  float* mine = values[warp_of()];
  const bool is_q = head < heads.n_heads;
  const bool is_v = head >= heads.n_heads + heads.n_kv_heads;
  const int p = *position.base + position.offset + row;

  float sum = 0.0f;
  for (int c = lane; c < dim; c += kWarp) {
    mine[c] = x[c];
    sum += mine[c] * mine[c];
  }
  const float* weight = is_v ? nullptr : is_q ? heads.q_norm : heads.k_norm;
  const float scale = 1.0f / sqrtf(warp_sum(sum) / float(dim) + heads.eps);
  if (weight != nullptr) {
    for (int c = lane; c < dim; c += kWarp) mine[c] = mine[c] * scale * weight[c];
  }
  sync_warp();
  for (int j = lane; !is_v && j < rope.dim / 2; j += kWarp) {
    const int first = rope.interleaved ? 2 * j : j;
    const int second = rope.interleaved ? 2 * j + 1 : j + rope.dim / 2;
    float sine, cosine;
    sincosf(float(p) * rope.frequency[j], &sine, &cosine);
    sine *= rope.scale;
    cosine *= rope.scale;
    const float a = mine[first], b = mine[second];
    mine[first] = a * cosine - b * sine;
    mine[second] = b * cosine + a * sine;
  }
  sync_warp();
  for (int c = lane; c < dim; c += kWarp) x[c] = mine[c];
  if (is_q || cache.slots == 0) return;

  const int64_t width = int64_t(heads.n_kv_heads) * dim;
  const int kv_head = (head - heads.n_heads) % heads.n_kv_heads;
  void* to = is_v ? cache.v : cache.k;
  for (int c = lane; c < dim; c += kWarp) {
    const int64_t at = int64_t(kv_head) * dim + c;
    put(to, cache.type, p % cache.slots * width + at, mine[c]);
    if (p < cache.sinks) put(to, cache.type, (cache.slots + p) * width + at, mine[c]);
  }
}

// Rows of `width` floats to their slots, a thread a float.
__global__ void __launch_bounds__(256) store_kernel(KvCache cache, const float* k, const float* v,
                                                    Position position, int stride, int width) {
  const int c = int(blockIdx.x) * 256 + int(threadIdx.x), row = int(blockIdx.y);
  if (c >= width) return;
  const int p = *position.base + position.offset + row;
  const float key = k[int64_t(row) * stride + c], value = v[int64_t(row) * stride + c];
  const int64_t to = int64_t(p % cache.slots) * width + c;
  put(cache.k, cache.type, to, key);
  put(cache.v, cache.type, to, value);
  if (p >= cache.sinks) return;
  const int64_t sink = int64_t(cache.slots + p) * width + c;
  put(cache.k, cache.type, sink, key);
  put(cache.v, cache.type, sink, value);
}

}  // namespace

void norm_rope(const Queue& queue, float* x, const float* weight, int n, int stride, int n_heads,
               int head_dim, const Rope& rope, float eps, Position position) {
  if (n == 0) return;
  const Heads heads{weight, nullptr, n_heads, 1, head_dim, eps};
  launch(queue, "norm_rope", rope_kernel,
         {.x = (n_heads + kWarps - 1) / kWarps, .y = n, .threads = kWarps * kWarp}, x, heads, rope,
         KvCache{}, position, stride, n_heads);
}

void norm_rope_store(const Queue& queue, const KvCache& cache, float* qkv, const float* q_norm,
                     const float* k_norm, int n, int stride, int n_heads, const Rope& rope,
                     float eps, Position position) {
  if (n == 0) return;
  const Heads heads{q_norm, k_norm, n_heads, cache.n_kv_heads, cache.head_dim, eps};
  const int total = n_heads + 2 * cache.n_kv_heads;
  launch(queue, "norm_rope_store", rope_kernel,
         {.x = (total + kWarps - 1) / kWarps, .y = n, .threads = kWarps * kWarp}, qkv, heads, rope,
         cache, position, stride, total);
}

void store(const Queue& queue, const KvCache& cache, const float* k, const float* v, int n,
           int stride, Position position) {
  if (n == 0) return;
  const int width = cache.n_kv_heads * cache.head_dim;
  launch(queue, "store", store_kernel, {.x = (width + 255) / 256, .y = n, .threads = 256}, cache, k,
         v, position, stride, width);
}

}  // namespace ringside::cuda
