// The CUDA backend's operations: each is a launch or a few, and tells what it has written.
#include "cuda_backend.h"
#include "format.h"

namespace ringside::cuda {

// ---- activations in their forms ----

void Cuda::forget_rounded() {
  for (Rounded& rounded : rounded_) rounded.forms.f32 = nullptr;
}

// `size` floats at y have changed: their forms are no longer theirs.
void Cuda::wrote(const float* y, int64_t size) {
  for (Rounded& rounded : rounded_) {
    const float* x = rounded.forms.f32;
    if (x == nullptr) continue;
    if (y < x + int64_t(rounded.n) * rounded.forms.cols && x < y + size)
      rounded.forms.f32 = nullptr;
  }
}

// Where forms of y [n, cols] are to go: over those that were used longer ago.
Rounded& Cuda::target(const float* y, int n, int cols) {
  wrote(y, int64_t(n) * cols);
  last_rounded_ = 1 - last_rounded_;
  Rounded& rounded = rounded_[last_rounded_];
  rounded.forms.f32 = y;
  rounded.forms.cols = cols;
  rounded.n = n;
  rounded.filled = cols % kGroup == 0 ? used_forms_ : used_forms_ & kBf16;
  return rounded;
}

unsigned Cuda::forms_for(std::span<const Matrix> parts) const {
  unsigned forms = 0;
  for (const Matrix& part : parts) forms |= forms_of(part.type);
  return forms;
}

// x with at least the forms asked for.
Activations Cuda::input(const float* x, int n, int cols, unsigned forms) {
  Activations plain;
  plain.f32 = x;
  plain.cols = cols;
  if (forms == 0) return plain;
  for (int i = 0; i < 2; i++) {
    Rounded& rounded = rounded_[i];
    if (rounded.forms.f32 != x || rounded.forms.cols != cols || rounded.n < n) continue;
    last_rounded_ = i;
    const unsigned missing = forms & ~rounded.filled;
    if (missing != 0) prepare(device_.queue(), rounded.forms, rounded.n, missing);
    rounded.filled |= missing;
    return rounded.forms;
  }
  Rounded& rounded = target(x, n, cols);
  rounded.filled = forms;
  prepare(device_.queue(), rounded.forms, n, forms);
  return rounded.forms;
}

// ---- operations ----

void Cuda::matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) {
  matmul(y, std::span(&w, 1), x, n, y_stride == 0 ? w.rows : y_stride);
}

void Cuda::matmul(float* y, std::span<const Matrix> parts, const float* x, int n, int y_stride) {
  if (n == 0) return;
  multiply(device_.queue(), y, parts, input(x, n, parts[0].cols, forms_for(parts)), n, y_stride);
  wrote(y, int64_t(n) * y_stride);
}

void Cuda::embed(float* y, const Matrix& w, const Token* tokens, int n) {
  cuda::embed(device_.queue(), y, w, tokens, n);
  wrote(y, int64_t(n) * w.cols);
}

void Cuda::rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) {
  if (n == 0) return;
  const Rounded& rounded = target(y, n, dim);
  cuda::rmsnorm(device_.queue(), y, const_cast<float*>(x), nullptr, weight, rounded.forms,
                rounded.filled, n, dim, eps);  // without a delta x stays as it is
}

void Cuda::add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n, int dim,
                       float eps) {
  if (n == 0) return;
  wrote(x, int64_t(n) * dim);
  const Rounded& rounded = target(y, n, dim);
  cuda::rmsnorm(device_.queue(), y, x, delta, weight, rounded.forms, rounded.filled, n, dim, eps);
}

void Cuda::layernorm(float* y, const float* x, const float* weight, const float* bias, int n,
                     int dim, float eps) {
  if (n == 0) return;
  const Rounded& rounded = target(y, n, dim);
  cuda::layernorm(device_.queue(), y, x, weight, bias, rounded.forms, rounded.filled, n, dim, eps);
}

void Cuda::add(float* x, const float* y, int64_t size) {
  elementwise(device_.queue(), Elementwise::add, x, y, size);
  wrote(x, size);
}

void Cuda::scale(float* x, const float* y, int64_t size) {
  elementwise(device_.queue(), Elementwise::scale, x, y, size);
  wrote(x, size);
}

void Cuda::swiglu(float* gate, const float* up, int64_t size) {
  elementwise(device_.queue(), Elementwise::swiglu, gate, up, size);
  wrote(gate, size);
}

void Cuda::silu(float* x, int64_t size) {
  elementwise(device_.queue(), Elementwise::silu, x, nullptr, size);
  wrote(x, size);
}

void Cuda::gelu(float* x, int64_t size) {
  elementwise(device_.queue(), Elementwise::gelu, x, nullptr, size);
  wrote(x, size);
}

void Cuda::feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                        float*) {
  if (n == 0) return;
  const Matrix parts[] = {ffn.gate, ffn.up};
  const Activations in = input(x, n, ffn.gate.cols, forms_for(parts));
  Rounded& hidden = target(gate, n, ffn.gate.rows);
  hidden.filled = forms_of(ffn.down.type);
  gate_up(device_.queue(), gate, hidden.forms, hidden.filled, ffn.gate, ffn.up, in, n);
  matmul(y, ffn.down, gate, n, 0);
}

void Cuda::norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                     const Rope& rope, float eps, int position) {
  cuda::norm_rope(device_.queue(), x, weight, n, stride, n_heads, head_dim, rope, eps,
                  at(position));
  wrote(x, int64_t(n) * stride);
}

void Cuda::store(const KvCache& cache, const float* k, const float* v, int n, int stride,
                 int position) {
  cuda::store(device_.queue(), cache, k, v, n, stride, at(position));
}

void Cuda::norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm,
                           const float* k_norm, int n, int stride, int n_heads, const Rope& rope,
                           float eps, int position) {
  cuda::norm_rope_store(device_.queue(), cache, qkv, q_norm, k_norm, n, stride, n_heads, rope, eps,
                        at(position));
  wrote(qkv, int64_t(n) * stride);
}

void Cuda::attention(float* out, const float* q, const KvCache& cache, int n, int stride,
                     int n_heads, int position) {
  cuda::attention(device_.queue(), out, q, cache, n, stride, n_heads, at(position),
                  attention_scratch_);
  wrote(out, int64_t(n) * n_heads * cache.head_dim);
}

void Cuda::lightning(float* out, const float* q, const float* k, const float* v,
                     const LinearState& state, int n, int stride) {
  cuda::lightning(device_.queue(), out, q, k, v, state, n, stride, lightning_scratch_);
  wrote(out, int64_t(n) * state.n_heads * state.head_dim);
}

void Cuda::advance(const float* k, const float* v, const LinearState& state, int n, int stride) {
  cuda::advance(device_.queue(), k, v, state, n, stride);
}

void Cuda::save(const Snapshots& to, const LinearState& state, int position) {
  save_state(device_.queue(), to, state.s, at(position));
}

void Cuda::save(const Snapshots& to, const KvCache& cache, int rows, int position) {
  save_rows(device_.queue(), to, cache, rows, at(position));
}

void Cuda::load(const Snapshots& from, const KvCache& cache, int rows, int first, int position) {
  load_rows(device_.queue(), from, cache, rows, first, position);
}

void Cuda::gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                            int dim, int groups, float eps) {
  if (n == 0) return;
  Rounded& rounded = target(y, n, dim);
  if (dim / groups % kGroup != 0) rounded.filled = 0;
  cuda::gated_group_norm(device_.queue(), y, x, gate, weight, rounded.forms, rounded.filled, n, dim,
                         groups, eps);
}

void Cuda::route(int* experts, float* weights, const Router& router, const float* h, int n,
                 const int* features, int n_active, int first_featured) {
  if (n == 0) return;
  Matrix w;
  w.rows = router.n_experts;
  w.cols = router.dim;
  w.data = router.w;
  matmul(router_logits_, w, h, n, 0);
  choose(device_.queue(), experts, weights, router, router_logits_, n, features, n_active,
         first_featured);
}

void Cuda::experts(float* y, const ExpertSet& all, const int* experts, const float* weights,
                   int top_k, const float* x, int n) {
  if (n == 0) return;
  const auto& table = *static_cast<const ExpertTable*>(all.table);
  run_experts(device_.queue(), y, table, experts, weights, top_k,
              input(x, n, table.dim, forms_of_all(table.types)), n, expert_scratch_);
  wrote(y, int64_t(n) * table.dim);
}

}  // namespace ringside::cuda
