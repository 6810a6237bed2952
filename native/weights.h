// From the names of a checkpoint to the weights of a layer: finds, checks and counts tensors.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "backend.h"
#include "config.h"
#include "safetensors.h"

namespace ringside {

// One layer's weights. Pointers lead into the mapped file, or into Weights for converted vectors.
struct Layer {
  bool lightning = false;
  const float* input_norm = nullptr;  // [hidden]
  Matrix qkv;                         // rows: all q heads, all k heads, all v heads
  const float* q_norm = nullptr;      // [head_dim]
  const float* k_norm = nullptr;      // [head_dim]
  Matrix dense;                       // [hidden, heads * head_dim]
  Matrix gate;                        // lightning only: [heads * head_dim, hidden]
  const float* gate_norm = nullptr;   // lightning only: [heads * head_dim]
  const float* post_norm = nullptr;   // [hidden]
  FeedForward ffn;                    // the dense feed-forward, or the shared experts; may be empty
  int ffn_hidden = 0;                 // 0: there is none
  Router router;                      // n_experts 0: the feed-forward is dense
  std::vector<FeedForward> experts;
};

// Parameters, not bytes.
struct Counts {
  int64_t total = 0;
  int64_t routed = 0;  // in experts that are chosen among
  int64_t shared = 0;  // in experts that always run
};

class Weights {
 public:
  // `where` names the file. Throws EngineError MODEL_CORRUPT for a tensor that is missing or of
  // another shape, MODEL_UNSUPPORTED for a type that no backend multiplies.
  // `on_progress` hears the share of layers done, in 0 .. 1.
  Weights(const Config& config, const Tensors& tensors, const std::string& where,
          const std::function<void(float)>& on_progress);
  Weights(const Weights&) = delete;  // layers point into converted_
  Weights& operator=(const Weights&) = delete;

  Matrix embedding;                   // [vocab, hidden], the output matrix too
  const float* final_norm = nullptr;  // [hidden]
  std::vector<Layer> layers;
  Counts counts;

 private:
  Layer layer(int index);
  FeedForward feed_forward(const std::string& prefix, int hidden);
  void add_experts(Layer& layer, const std::string& prefix);
  Matrix matrix(const std::string& name, int rows, int cols);
  Matrix int4_matrix(const std::string& name, int rows, int cols);
  const float* vector(const std::string& name, const std::vector<int64_t>& shape);
  const Tensor* find(const std::string& name) const;
  const Tensor& get(const std::string& name, const std::vector<int64_t>& shape) const;
  [[noreturn]] void corrupt(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what) const;

  const Config& config_;
  const Tensors& tensors_;
  const std::string& where_;
  std::deque<std::vector<float>> converted_;  // vectors that the file has in 16 bits
};

}  // namespace ringside
