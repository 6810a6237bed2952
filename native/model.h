// A model, loaded: immutable weights, and the forward pass over a Sequence.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend.h"
#include "config.h"
#include "memory.h"
#include "model_files.h"
#include "pager.h"
#include "sequence.h"
#include "weights.h"

namespace ringside {

struct ModelOptions {
  int context_tokens = 0;     // 0: what the model was made for, the maximum
  size_t memory_bytes = 0;    // for everything; 0: no limit
  float expert_coverage = 1;  // of a token's router weight, run experts until so much is covered
  float active_share = 1;     // of the parameters, at most so many run for a token
  int slope_layer_shift = 0;  // of lightning attention's decay, see decay()
};

class Model {
 public:
  static constexpr int kMaxBatch = 256;  // tokens; bounds the wait for a cancel to one batch

  // Throws EngineError MODEL_CORRUPT, MODEL_UNSUPPORTED, OUT_OF_MEMORY, or BAD_REQUEST for options
  // out of range. `files` must outlive this.
  Model(const ModelFiles& files, Backend& backend, const ModelOptions& options,
        const std::function<void(float)>& on_progress);
  Model(const Model&) = delete;  // weights point into the files
  Model& operator=(const Model&) = delete;

  const Config& config() const { return config_; }
  const Weights& weights() const { return *weights_; }
  const Counts& counts() const { return weights_->counts; }
  const WeightBytes& weight_bytes() const { return bytes_; }
  const MemoryPlan& memory() const { return plan_; }
  // Null where all experts may stay resident.
  const ExpertPager* pager() const { return pager_.get(); }
  int context_tokens() const { return plan_.context_tokens; }
  // Of each token's routed experts, the most that run.
  int max_experts() const { return max_experts_; }
  Backend& backend() const { return backend_; }
  // The most tokens that one forward() takes: kMaxBatch, or less for a short ring.
  size_t max_batch() const { return size_t(plan_.max_batch); }

  // Reads `tokens` (1 .. max_batch() of them, and room for them in the sequence) and returns the
  // logits [vocab_size] after the last, valid until the next call. Allocates nothing.
  std::span<const float> forward(Sequence& sequence, std::span<const Token> tokens);
  // The same without logits, for all but the last batch of a prompt.
  void read(Sequence& sequence, std::span<const Token> tokens);
  // Logits after the token at `index` of the last batch read.
  std::span<const float> logits(size_t index);

 private:
  void forward_layers(Sequence& sequence, int n);
  void norm(float* y, const float* x, const Norm& norm, int n);
  void project(const Layer& w, int n);
  void softmax_attention(const Layer& w, Sequence& sequence, int layer, int n, int position);
  void lightning_attention(const Layer& w, Sequence& sequence, int layer, int n, int position);
  void feed_forward(const Layer& w, const Syntax& syntax, int layer, int n, int position);
  void count_bytes();
  void limit_experts(const ModelOptions& options);
  void norm_head();
  void reserve();

  Config config_;
  std::unique_ptr<Weights> weights_;
  Backend& backend_;
  WeightBytes bytes_;
  MemoryPlan plan_;
  std::unique_ptr<ExpertPager> pager_;
  int max_experts_ = 0;
  std::vector<float> head_scale_;  // [vocab], of each row of the head; or empty

  // Activations of one batch; n rows are used. One forward pass at a time.
  struct Scratch {
    std::vector<float> x;       // the residual stream, [n, hidden]
    std::vector<float> xn;      // its norm, [n, hidden]
    std::vector<float> qkv;     // [n, q | k | v]
    std::vector<float> attn;    // [n, heads * head_dim]
    std::vector<float> gate;    // [n, max(heads * head_dim, ffn_hidden)]
    std::vector<float> up;      // [n, ffn_hidden]
    std::vector<float> out;     // [n, hidden]
    std::vector<float> logits;  // [vocab]
    std::vector<int> experts;   // [n, top_k]
    std::vector<float> expert_weights;
  } s_;
};

}  // namespace ringside
