// A model, loaded: immutable weights, and the forward pass over a Sequence.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend.h"
#include "config.h"
#include "mapping.h"
#include "sequence.h"
#include "weights.h"

namespace ringside {

class Model {
 public:
  static constexpr int kMaxBatch = 256;  // tokens; bounds the wait for a cancel to one batch

  // Maps config.json and model.safetensors of `folder`. Throws EngineError MODEL_NOT_FOUND,
  // MODEL_CORRUPT or MODEL_UNSUPPORTED. `context_tokens` 0: what the model was made for, the
  // maximum.
  Model(const std::filesystem::path& folder, Backend& backend, int context_tokens,
        const std::function<void(float)>& on_progress);
  Model(const Model&) = delete;  // layers point into the mapping
  Model& operator=(const Model&) = delete;

  const Config& config() const { return config_; }
  const Counts& counts() const { return weights_->counts; }
  size_t weight_bytes() const { return weight_bytes_; }
  int context_tokens() const { return context_tokens_; }
  Backend& backend() const { return backend_; }
  // The most tokens that one forward() takes: kMaxBatch, or less for a short ring.
  size_t max_batch() const { return size_t(max_batch_); }

  // Reads `tokens` (1 .. max_batch() of them, and room for them in the sequence) and returns the
  // logits [vocab_size] after the last, valid until the next call. Allocates nothing.
  std::span<const float> forward(Sequence& sequence, std::span<const Token> tokens);
  // The same without logits, for all but the last batch of a prompt.
  void read(Sequence& sequence, std::span<const Token> tokens);
  // Logits after the token at `index` of the last batch read.
  std::span<const float> logits(size_t index);

 private:
  void forward_layers(Sequence& sequence, int n);
  void ring_attention(const Layer& w, Sequence& sequence, int layer, int n, int position);
  void lightning_attention(const Layer& w, Sequence& sequence, int layer, int n, int position);
  void feed_forward(const Layer& w, const Syntax& syntax, int n, int position);
  void reserve();

  Config config_;
  Mapping mapping_;
  Tensors tensors_;
  std::string where_;
  std::unique_ptr<Weights> weights_;
  Backend& backend_;
  int context_tokens_;
  int max_batch_;
  size_t weight_bytes_ = 0;

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
