// A device's backend as the kernel tests see it: their arrays are the host's, so each operation
// takes them to the device, runs, and brings back what it may have changed.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "host_backend.h"

namespace ringside {

class Mirrored final : public HostBackend {
 public:
  // `name`: what the device's options make of it, for messages.
  Mirrored(std::unique_ptr<Backend> device, std::string name)
      : device_(std::move(device)), name_(std::move(name)) {}

  std::string_view name() const override { return name_; }
  int threads() const override { return 1; }
  void reserve(const Limits& limits) override { device_->reserve(limits); }
  size_t reserved_bytes(const Limits&) const override { return 0; }

  using HostBackend::matmul;
  void matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) override {
    matmul(y, std::span(&w, 1), x, n, y_stride == 0 ? w.rows : y_stride);
  }
  void matmul(float* y, std::span<const Matrix> parts, const float* x, int n,
              int y_stride) override {
    std::vector<Matrix> placed;
    int64_t rows = 0;
    for (const Matrix& part : parts) {
      placed.push_back(device_->place(part));
      rows += part.rows;
    }
    Array in(*this, x, int64_t(n) * parts[0].cols);
    Array out(*this, y, int64_t(n - 1) * y_stride + rows);
    device_->matmul(out.data, placed, in.data, n, y_stride);
    out.bring_back();
    device_->forget_placed();
  }
  void embed(float* y, const Matrix& w, const Token* tokens, int n) override {
    Array in(*this, tokens, n);
    Array out(*this, y, int64_t(n) * w.cols);
    device_->embed(out.data, device_->place(w), in.data, n);
    out.bring_back();
    device_->forget_placed();
  }
  void rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) override {
    Array in(*this, x, int64_t(n) * dim), w(*this, weight, dim), out(*this, y, int64_t(n) * dim);
    device_->rmsnorm(y == x ? in.data : out.data, in.data, w.data, n, dim, eps);
    (y == x ? in : out).bring_back_to(y);
  }
  void layernorm(float* y, const float* x, const float* weight, const float* bias, int n, int dim,
                 float eps) override {
    Array in(*this, x, int64_t(n) * dim), w(*this, weight, dim), b(*this, bias, dim);
    Array out(*this, y, int64_t(n) * dim);
    device_->layernorm(y == x ? in.data : out.data, in.data, w.data, b.data, n, dim, eps);
    (y == x ? in : out).bring_back_to(y);
  }
  void add(float* x, const float* y, int64_t size) override {
    Array a(*this, x, size), b(*this, y, size);
    device_->add(a.data, b.data, size);
    a.bring_back();
  }
  void scale(float* x, const float* y, int64_t size) override {
    Array a(*this, x, size), b(*this, y, size);
    device_->scale(a.data, b.data, size);
    a.bring_back();
  }
  void add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n, int dim,
                   float eps) override {
    const int64_t size = int64_t(n) * dim;
    Array a(*this, x, size), d(*this, delta, size), w(*this, weight, dim), out(*this, y, size);
    device_->add_rmsnorm(out.data, a.data, d.data, w.data, n, dim, eps);
    a.bring_back();
    out.bring_back();
  }
  void swiglu(float* gate, const float* up, int64_t size) override {
    Array a(*this, gate, size), b(*this, up, size);
    device_->swiglu(a.data, b.data, size);
    a.bring_back();
  }
  void silu(float* x, int64_t size) override {
    Array a(*this, x, size);
    device_->silu(a.data, size);
    a.bring_back();
  }
  void gelu(float* x, int64_t size) override {
    Array a(*this, x, size);
    device_->gelu(a.data, size);
    a.bring_back();
  }
  void feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                    float* up) override {
    const FeedForward placed = place_all(ffn);
    Array in(*this, x, int64_t(n) * ffn.gate.cols), out(*this, y, int64_t(n) * ffn.down.rows);
    Array g(*this, gate, int64_t(n) * ffn.gate.rows), u(*this, up, int64_t(n) * ffn.up.rows);
    device_->feed_forward(out.data, placed, in.data, n, g.data, u.data);
    out.bring_back();
    device_->forget_placed();
  }
  void norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                 const Rope& rope, float eps, int position) override {
    Array a(*this, x, int64_t(n - 1) * stride + n_heads * head_dim), w(*this, weight, head_dim);
    Array frequency(*this, rope.frequency, rope.dim / 2);
    Rope there = rope;
    there.frequency = frequency.data;
    at(position);
    device_->norm_rope(a.data, w.data, n, stride, n_heads, head_dim, there, eps, position);
    a.bring_back();
  }
  void store(const KvCache& cache, const float* k, const float* v, int n, int stride,
             int position) override {
    Kv there(*this, cache);
    const int64_t size = int64_t(n - 1) * stride + cache.n_kv_heads * cache.head_dim;
    Array a(*this, k, size), b(*this, v, size);
    at(position);
    device_->store(there.view, a.data, b.data, n, stride, position);
    there.bring_back();
  }
  void norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm, const float* k_norm,
                       int n, int stride, int n_heads, const Rope& rope, float eps,
                       int position) override {
    Kv there(*this, cache);
    const int dim = cache.head_dim;
    Array a(*this, qkv, int64_t(n - 1) * stride + (n_heads + 2 * cache.n_kv_heads) * dim);
    Array q(*this, q_norm, dim), k(*this, k_norm, dim);
    Array frequency(*this, rope.frequency, rope.dim / 2);
    Rope turned = rope;
    turned.frequency = frequency.data;
    at(position);
    device_->norm_rope_store(there.view, a.data, q.data, k.data, n, stride, n_heads, turned, eps,
                             position);
    a.bring_back();
    there.bring_back();
  }
  void attention(float* out, const float* q, const KvCache& cache, int n, int stride, int n_heads,
                 int position) override {
    Kv there(*this, cache);
    Array in(*this, q, int64_t(n - 1) * stride + n_heads * cache.head_dim);
    Array result(*this, out, int64_t(n) * n_heads * cache.head_dim);
    at(position);
    device_->attention(result.data, in.data, there.view, n, stride, n_heads, position);
    result.bring_back();
  }
  using HostBackend::load;
  using HostBackend::save;
  void save(const Snapshots& to, const KvCache& cache, int rows, int position) override {
    if (position % to.every != 0) return;
    Kv there(*this, cache);
    Array kept(*this, to.memory, position / to.every * to.floats);
    at(position);
    device_->save({kept.data, to.floats, to.every}, there.view, rows, position);
    kept.bring_back();
  }
  void load(const Snapshots& from, const KvCache& cache, int rows, int first,
            int position) override {
    Kv there(*this, cache);
    Array kept(*this, from.memory, position / from.every * from.floats);
    device_->load({kept.data, from.floats, from.every}, there.view, rows, first, position);
    there.bring_back();
  }
  void lightning(float* out, const float* q, const float* k, const float* v,
                 const LinearState& state, int n, int stride) override {
    const int64_t width = int64_t(state.n_heads) * state.head_dim;
    const int64_t size = int64_t(n - 1) * stride + width;
    Array a(*this, q, size), b(*this, k, size), c(*this, v, size), result(*this, out, n * width);
    Array s(*this, state.s, width * state.head_dim), decay(*this, state.decay, state.n_heads);
    device_->lightning(result.data, a.data, b.data, c.data,
                       {s.data, decay.data, state.n_heads, state.head_dim}, n, stride);
    result.bring_back();
    s.bring_back();
  }
  void advance(const float* k, const float* v, const LinearState& state, int n,
               int stride) override {
    const int64_t width = int64_t(state.n_heads) * state.head_dim;
    const int64_t size = int64_t(n - 1) * stride + width;
    Array b(*this, k, size), c(*this, v, size);
    Array s(*this, state.s, width * state.head_dim), decay(*this, state.decay, state.n_heads);
    device_->advance(b.data, c.data, {s.data, decay.data, state.n_heads, state.head_dim}, n,
                     stride);
    s.bring_back();
  }
  void gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                        int dim, int groups, float eps) override {
    const int64_t size = int64_t(n) * dim;
    Array in(*this, x, size), g(*this, gate, size), w(*this, weight, dim), out(*this, y, size);
    device_->gated_group_norm(y == x ? in.data : out.data, in.data, g.data, w.data, n, dim, groups,
                              eps);
    (y == x ? in : out).bring_back_to(y);
  }
  void route(int* experts, float* weights, const Router& router, const float* h, int n,
             const int* features, int n_active, int first_featured) override {
    Array w(*this, router.w, int64_t(router.n_experts) * router.dim);
    Array bias(*this, router.bias, router.n_experts);
    Array syntax(*this, router.syntax, int64_t(router.n_experts) * router.n_features);
    Array in(*this, h, int64_t(n) * router.dim);
    Array f(*this, features, n_active);
    Array e(*this, experts, int64_t(n) * router.top_k);
    Array weight(*this, weights, int64_t(n) * router.top_k);
    Router there = router;
    there.w = w.data;
    there.bias = bias.data;
    there.syntax = syntax.data;
    device_->route(e.data, weight.data, there, in.data, n, f.data, n_active, first_featured);
    e.bring_back();
    weight.bring_back();
  }
  void experts(float* y, const ExpertSet& all, const int* experts, const float* weights, int top_k,
               const float* x, int n) override {
    std::vector<FeedForward> placed;
    for (const FeedForward& expert : all.all) placed.push_back(place_all(expert));
    const ExpertSet there = device_->place(placed);
    const int64_t dim = placed[0].down.rows, places = int64_t(n) * top_k;
    Array in(*this, x, n * dim), out(*this, y, n * dim);
    Array e(*this, experts, places);
    Array w(*this, weights, places);
    device_->experts(out.data, there, e.data, w.data, top_k, in.data, n);
    out.bring_back();
    device_->forget_placed();
  }

  Backend& device() { return *device_; }

 private:
  // An array on the device; null stays null.
  template <typename T>
  struct Array {
    Array(Mirrored& mirrored, const T* host, int64_t count)
        : device(*mirrored.device_),
          host(host),
          bytes(size_t(std::max<int64_t>(count, 0)) * sizeof(T)) {
      if (host == nullptr) return;
      data = static_cast<T*>(device.allocate(std::max<size_t>(bytes, 1)));
      device.upload(data, host, bytes);
    }
    ~Array() {
      if (data != nullptr) device.release(data);
    }
    Array(const Array&) = delete;  // owns memory
    // Only where the operation may change the host's array.
    void bring_back() { device.download(const_cast<T*>(host), data, bytes); }
    void bring_back_to(void* to) { device.download(to, data, bytes); }

    Backend& device;
    const T* host;
    size_t bytes;
    T* data = nullptr;
  };

  struct Kv {
    Kv(Mirrored& mirrored, const KvCache& cache)
        : k(mirrored, static_cast<const std::byte*>(cache.k), size_of(cache)),
          v(mirrored, static_cast<const std::byte*>(cache.v), size_of(cache)),
          view(cache) {
      view.k = k.data;
      view.v = v.data;
    }
    static int64_t size_of(const KvCache& cache) {
      return (cache.slots + cache.sinks) * cache.row_bytes();
    }
    void bring_back() {
      k.bring_back();
      v.bring_back();
    }

    Array<std::byte> k, v;
    KvCache view;
  };

  FeedForward place_all(const FeedForward& ffn) {
    return {device_->place(ffn.gate), device_->place(ffn.up), device_->place(ffn.down)};
  }

  // A pass begins somewhere before, so that operations are told an offset too.
  void at(int position) { device_->begin(position - position % 3); }

  std::unique_ptr<Backend> device_;
  std::string name_;
};

}  // namespace ringside
