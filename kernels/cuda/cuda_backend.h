// The CUDA backend: every operation as launches on one device, in order.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "ops.h"

namespace ringside::cuda {

// Device memory that is taken in pieces and given back all at once.
class Arena {
 public:
  // `chunk`: bytes; pieces that are small beside it share one.
  Arena(Device& device, size_t chunk) : device_(device), chunk_(chunk) {}
  ~Arena() { clear(); }
  Arena(const Arena&) = delete;  // owns memory
  Arena& operator=(const Arena&) = delete;

  void* take(size_t bytes);  // aligned to 256 bytes
  void clear() noexcept;

 private:
  char* allocate(size_t bytes);

  Device& device_;
  size_t chunk_;
  std::vector<void*> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

// Rounded forms of one array of activations. A matrix product takes them from here instead of
// rounding its input again: norms make them on the way.
struct Rounded {
  Activations forms;    // f32: what they are of; null: nothing
  unsigned filled = 0;  // Forms
  int n = 0;            // rows
};

class Cuda final : public Backend {
 public:
  explicit Cuda(int device);
  ~Cuda() override;

  std::string_view name() const override { return "cuda"; }
  int threads() const override { return 1; }
  std::string device_name() const override { return device_.info().name; }

  bool uses_host_memory() const override { return false; }
  void* allocate(size_t bytes) override { return device_.allocate(bytes); }
  void release(void* memory) noexcept override { device_.release(memory); }
  void upload(void* to, const void* from, size_t bytes) override;
  void download(void* to, const void* from, size_t bytes) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void clear(void* memory, size_t bytes) override;
  size_t free_bytes() const override { return device_.free_bytes(); }

  size_t placed_bytes(const Matrix& w) const override;
  Matrix place(const Matrix& w) override;
  const float* place(const float* values, size_t count) override;
  ExpertSet place(std::span<const FeedForward> experts) override;
  void forget_placed() override;

  void reserve(const Limits& limits) override;
  size_t reserved_bytes(const Limits& limits) const override;
  void begin(int position) override;
  void pass(int n) override;
  void repeat(uint64_t key, const std::function<void()>& record) override;
  void forget_repeated() override { repeated_.clear(); }
  bool runs_ahead() const override { return true; }

  using Backend::matmul;
  void matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) override;
  void matmul(float* y, std::span<const Matrix> parts, const float* x, int n,
              int y_stride) override;
  void embed(float* y, const Matrix& w, const Token* tokens, int n) override;
  void rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) override;
  void layernorm(float* y, const float* x, const float* weight, const float* bias, int n, int dim,
                 float eps) override;
  void add(float* x, const float* y, int64_t size) override;
  void scale(float* x, const float* y, int64_t size) override;
  void add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n, int dim,
                   float eps) override;
  void swiglu(float* gate, const float* up, int64_t size) override;
  void silu(float* x, int64_t size) override;
  void feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                    float* up) override;
  void gelu(float* x, int64_t size) override;
  void norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                 const Rope& rope, float eps, int position) override;
  void store(const KvCache& cache, const float* k, const float* v, int n, int stride,
             int position) override;
  void norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm, const float* k_norm,
                       int n, int stride, int n_heads, const Rope& rope, float eps,
                       int position) override;
  void attention(float* out, const float* q, const KvCache& cache, int n, int stride, int n_heads,
                 int position) override;
  void lightning(float* out, const float* q, const float* k, const float* v,
                 const LinearState& state, int n, int stride) override;
  void advance(const float* k, const float* v, const LinearState& state, int n,
               int stride) override;
  void save(const Snapshots& to, const LinearState& state, int position) override;
  void save(const Snapshots& to, const KvCache& cache, int rows, int position) override;
  void load(const Snapshots& from, const KvCache& cache, int rows, int first,
            int position) override;
  void gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                        int dim, int groups, float eps) override;
  void route(int* experts, float* weights, const Router& router, const float* h, int n,
             const int* features, int n_active, int first_featured) override;
  void experts(float* y, const ExpertSet& all, const int* experts, const float* weights, int top_k,
               const float* x, int n) override;

  void begin_sampling(const Sampling& sampling) override;
  void mix(float* logits, int count, std::span<const Candidate> copied, float share) override;
  void sample(Token* next, const float* logits, int count) override;
  Choice choice(int number) override;

  // For tests and measurements.
  Device& device() { return device_; }

 private:
  // A recorded pass, and what recording it moved on the host.
  struct Repeated {
    Graph graph;
    int moved = 0, drawn = 0;
  };

  // What reserve() takes: of each of the two Rounded, and the rest.
  struct ScratchBytes {
    size_t q, groups, bf16, attention, lightning, experts, router;
  };
  ScratchBytes scratch_bytes(const Limits& limits) const;

  Position at(int position) const;
  Activations input(const float* x, int n, int cols, unsigned forms);
  unsigned forms_for(std::span<const Matrix> parts) const;
  Rounded& target(const float* y, int n, int cols);
  void wrote(const float* y, int64_t size);
  void forget_rounded();
  void release_staging();

  Device device_;
  Arena own_, weights_, scratch_, staging_;
  void* staging_memory_ = nullptr;  // through which weights reach their planes
  size_t staging_bytes_ = 0;
  std::deque<ExpertTable> tables_;
  std::map<uint64_t, Repeated> repeated_;
  unsigned used_forms_ = 0;  // by any weights placed

  Limits limits_{.max_batch = 0};
  Rounded rounded_[2];    // by turns
  int last_rounded_ = 0;  // the one used last
  void* attention_scratch_ = nullptr;
  void* lightning_scratch_ = nullptr;
  void* expert_scratch_ = nullptr;
  float* router_logits_ = nullptr;  // [max_batch, max_experts]

  int* base_ = nullptr;  // device: the position that a pass begins at
  int begun_ = 0;        // the same on the host
  DrawState* draw_state_ = nullptr;
  DrawPart* draw_parts_ = nullptr;
  Candidate* copied_ = nullptr;  // [kMostMixed]
  Choice* choices_ = nullptr;    // [2], the host's
  int drawn_ = 0;
};

}  // namespace ringside::cuda
