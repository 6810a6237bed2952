#include "host_backend.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace ringside {

void* HostBackend::allocate(size_t bytes) {
  return ::operator new (bytes, std::align_val_t{kMemoryAlignment});
}

void HostBackend::release(void* memory) noexcept {
  ::operator delete (memory, std::align_val_t{kMemoryAlignment});
}

void HostBackend::copy(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memmove(to, from, bytes);
}

void HostBackend::clear(void* memory, size_t bytes) {
  if (bytes > 0) std::memset(memory, 0, bytes);
}

void HostBackend::matmul(float* y, std::span<const Matrix> parts, const float* x, int n,
                         int y_stride) {
  for (const Matrix& part : parts) {
    matmul(y, part, x, n, y_stride);
    y += part.rows;
  }
}

void HostBackend::scale(float* x, const float* y, int64_t size) {
  for (int64_t i = 0; i < size; i++) x[i] *= y[i];
}

void HostBackend::add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n,
                              int dim, float eps) {
  add(x, delta, int64_t(n) * dim);
  rmsnorm(y, x, weight, n, dim, eps);
}

void HostBackend::feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                               float* up) {
  matmul(gate, ffn.gate, x, n);
  matmul(up, ffn.up, x, n);
  swiglu(gate, up, int64_t(n) * ffn.gate.rows);
  matmul(y, ffn.down, gate, n);
}

void HostBackend::norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm,
                                  const float* k_norm, int n, int stride, int n_heads,
                                  const Rope& rope, float eps, int position) {
  float* k = qkv + n_heads * cache.head_dim;
  const float* v = k + cache.n_kv_heads * cache.head_dim;
  norm_rope(qkv, q_norm, n, stride, n_heads, cache.head_dim, rope, eps, position);
  norm_rope(k, k_norm, n, stride, cache.n_kv_heads, cache.head_dim, rope, eps, position);
  store(cache, k, v, n, stride, position);
}

void HostBackend::save(const Snapshots& to, const LinearState& state, int position) {
  if (position % to.every != 0) return;
  std::copy_n(state.s, to.floats, to.memory + (position / to.every - 1) * to.floats);
}

void HostBackend::save(const Snapshots& to, const KvCache& cache, int rows, int position) {
  if (position % to.every != 0) return;
  const int64_t row = cache.row_bytes();
  auto* k = reinterpret_cast<std::byte*>(to.memory + (position / to.every - 1) * to.floats);
  std::byte* v = k + rows * row;
  for (int i = 0; i < rows; i++, k += row, v += row) {
    const int64_t slot = (position - rows + i) % cache.slots;
    std::copy_n(static_cast<const std::byte*>(cache.k) + slot * row, row, k);
    std::copy_n(static_cast<const std::byte*>(cache.v) + slot * row, row, v);
  }
}

void HostBackend::load(const Snapshots& from, const KvCache& cache, int rows, int first,
                       int position) {
  const int64_t row = cache.row_bytes();
  for (int p = first; p < position; p++) {
    const int index = p / from.every;  // the snapshot behind p
    const int at = p - ((index + 1) * from.every - rows);
    const auto* kept = reinterpret_cast<const std::byte*>(from.memory + index * from.floats);
    const std::byte* k = kept + at * row;
    const int64_t slot = p % cache.slots;
    std::copy_n(k, row, static_cast<std::byte*>(cache.k) + slot * row);
    std::copy_n(k + rows * row, row, static_cast<std::byte*>(cache.v) + slot * row);
  }
}

void HostBackend::mix(float* logits, int count, std::span<const Candidate> copied, float share) {
  ringside::mix({logits, size_t(count)}, copied, share);
}

void HostBackend::sample(Token* next, const float* logits, int count) {
  choice_ = sampler_.sample({logits, size_t(count)});
  *next = choice_.token;
}

}  // namespace ringside
