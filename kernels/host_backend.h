// What backends on the host's processor have in common: its memory, weights in place, everything
// done when the call returns, and operations that are made of others.
#pragma once

#include "backend.h"
#include "sampler.h"

namespace ringside {

class HostBackend : public Backend {
 public:
  std::string device_name() const override { return ""; }
  bool uses_host_memory() const override { return true; }
  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void upload(void* to, const void* from, size_t bytes) override { copy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { copy(to, from, bytes); }
  void copy(void* to, const void* from, size_t bytes) override;
  void clear(void* memory, size_t bytes) override;
  size_t free_bytes() const override { return SIZE_MAX; }

  size_t placed_bytes(const Matrix&) const override { return 0; }
  Matrix place(const Matrix& w) override { return w; }
  const float* place(const float* values, size_t) override { return values; }
  ExpertSet place(std::span<const FeedForward> experts) override { return {experts, nullptr}; }
  void forget_placed() override {}

  void begin(int) override {}
  void pass(int) override {}
  void repeat(uint64_t, const std::function<void()>& record) override { record(); }
  void forget_repeated() override {}
  bool runs_ahead() const override { return false; }

  using Backend::matmul;
  void matmul(float* y, std::span<const Matrix> parts, const float* x, int n,
              int y_stride) override;
  void scale(float* x, const float* y, int64_t size) override;
  void add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n, int dim,
                   float eps) override;
  void feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                    float* up) override;
  void norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm, const float* k_norm,
                       int n, int stride, int n_heads, const Rope& rope, float eps,
                       int position) override;
  void save(const Snapshots& to, const LinearState& state, int position) override;
  void save(const Snapshots& to, const KvCache& cache, int rows, int position) override;
  void load(const Snapshots& from, const KvCache& cache, int rows, int first,
            int position) override;

  void begin_sampling(const Sampling& sampling) override { sampler_ = Sampler(sampling); }
  void mix(float* logits, int count, std::span<const Candidate> copied, float share) override;
  void sample(Token* next, const float* logits, int count) override;
  Choice choice(int) override { return choice_; }

 private:
  Sampler sampler_{Sampling()};
  Choice choice_;
};

}  // namespace ringside
