// The CPU backend: every operation over a table of inner loops and a pool of threads.
#pragma once

#include <memory>

#include "../host_backend.h"
#include "dot.h"
#include "threads.h"

namespace ringside {

// Multiply-adds below which an operation stays on one thread. One core of a Zen 4 does this many in
// int4 in 17 us; handing a task out costs 0.3 to 0.7 us while the workers are awake, 31 to 40 us
// when they sleep (bench_kernels matmul, threads).
constexpr int64_t kParallelWork = 300'000;

// What an input is converted to before it meets weights of a type.
enum class Form : uint8_t { f32, bf16, paired, integers };
Form form_of(Type type);

// Rows of activations in the forms that weights of each type ask for. Filled by prepare().
class Inputs {
 public:
  void reserve(const Dot& dot, int max_rows, int max_cols);
  static size_t reserved_bytes(const Dot& dot, int max_rows, int max_cols);
  // Converts x [n, cols] to `form`, in parts on `threads` where it is worth it.
  void prepare(const Dot& dot, Threads& threads, const float* x, int n, int cols, Form form);
  // Converts rows first .. first+n-1 from x [n, cols], on the calling thread.
  void prepare_rows(const Dot& dot, const float* x, int first, int n, int cols, Form form) {
    for (int i = 0; i < n; i++) prepare_row(dot, x + int64_t(i) * cols, first + i, cols, form);
  }
  // Makes row `to` a view of row `from` of `source`, prepared for the same forms.
  void alias(int to, const Inputs& source, int from) {
    rows_[size_t(to)] = source.rows_[size_t(from)];
  }
  const Activations* row(int i) const { return rows_.data() + i; }

 private:
  void prepare_row(const Dot& dot, const float* x, int i, int cols, Form form);

  int64_t max_cols_ = 0;
  std::vector<Activations> rows_;
  std::vector<int8_t> q_, paired_;
  std::vector<float> scales_, sums_, group_scales_, group_sums_;
  std::vector<uint16_t> bf16_;
  std::vector<float> rounded_;
};

class Cpu final : public HostBackend {
 public:
  Cpu(const Dot& dot, int threads) : dot_(dot), threads_(threads) {}

  std::string_view name() const override { return dot_.name; }
  int threads() const override { return threads_.count(); }
  void reserve(const Limits& limits) override;
  size_t reserved_bytes(const Limits& limits) const override;

  using HostBackend::matmul;
  void matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) override;
  void embed(float* y, const Matrix& w, const Token* tokens, int n) override;
  void rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) override;
  void layernorm(float* y, const float* x, const float* weight, const float* bias, int n, int dim,
                 float eps) override;
  void add(float* x, const float* y, int64_t size) override;
  void swiglu(float* gate, const float* up, int64_t size) override;
  void silu(float* x, int64_t size) override;
  void gelu(float* x, int64_t size) override;
  void norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                 const Rope& rope, float eps, int position) override;
  void store(const KvCache& cache, const float* k, const float* v, int n, int stride,
             int position) override;
  void attention(float* out, const float* q, const KvCache& cache, int n, int stride, int n_heads,
                 int position) override;
  void lightning(float* out, const float* q, const float* k, const float* v,
                 const LinearState& state, int n, int stride) override;
  void advance(const float* k, const float* v, const LinearState& state, int n,
               int stride) override;
  void gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                        int dim, int groups, float eps) override;
  void route(int* experts, float* weights, const Router& router, const float* h, int n,
             const int* features, int n_active, int first_featured) override;
  void experts(float* y, const ExpertSet& set, const int* experts, const float* weights, int top_k,
               const float* x, int n) override;

 private:
  void multiply(float* y, int64_t y_stride, const Matrix& w, const Activations* x, int n,
                int first_row, int end_row);
  void run(int64_t work, int parts, auto body);
  void prepare_for(const FeedForward* all, int used, const float* x, int n, int cols);
  void run_expert(const FeedForward& expert, int first, int count);

  const Dot& dot_;
  Threads threads_;
  Limits limits_{.max_batch = 0};  // grows with what reserve() is asked for
  Inputs inputs_, expert_inputs_, hidden_inputs_;
  std::vector<float> gate_, up_, out_;                  // of experts: [max_batch * max_top_k, ...]
  std::vector<int> first_of_, place_, used_;            // of experts: where each one's tokens lie
  std::vector<float> scores_, selection_, group_best_;  // of routing: [max_batch, max_experts]
};

// Runs body(part) for each part, on all threads if the work is worth it.
void Cpu::run(int64_t work, int parts, auto body) {
  if (work >= kParallelWork) {
    threads_.run(parts, body);
  } else {
    for (int part = 0; part < parts; part++) body(part);
  }
}

}  // namespace ringside
