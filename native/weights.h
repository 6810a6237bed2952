// From the names of a checkpoint to the weights of a layer: finds, checks and counts tensors.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "backend.h"
#include "config.h"
#include "families.h"
#include "model_files.h"

namespace ringside {

struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;  // LayerNorm only
};

// One layer's weights. Pointers lead into the mapped file, or into Weights for converted vectors.
struct Layer {
  bool lightning = false;
  Norm input_norm, post_norm;  // [hidden]
  std::vector<Matrix> qkv;     // q, k and v, or one matrix: all q heads, all k heads, all v heads
  int qkv_rows = 0;            // of all of them
  const float* q_norm = nullptr;  // [head_dim], or null
  const float* k_norm = nullptr;
  Matrix dense;                      // [hidden, heads * head_dim]
  Matrix gate;                       // lightning only: [heads * head_dim, hidden]
  const float* gate_norm = nullptr;  // lightning only: [heads * head_dim]
  FeedForward ffn;     // the dense feed-forward, or the shared experts; no gate: GELU; may be empty
  int ffn_hidden = 0;  // 0: there is none
  Router router;       // n_experts 0: the feed-forward is dense
  std::vector<FeedForward> experts;
  ExpertSet expert_set;  // of `experts`, once they are placed
};

// Bytes of a matrix's values, and of the scales that are stored beside them; 0 for none.
size_t data_bytes(const Matrix& matrix);
size_t scale_bytes(const Matrix& matrix);

// Parameters, not bytes.
struct Counts {
  int64_t total = 0;
  int64_t routed = 0;  // in experts that are chosen among
  int64_t shared = 0;  // in experts that always run
};

class Weights {
 public:
  // Throws EngineError MODEL_CORRUPT for a tensor that is missing or of another shape,
  // MODEL_UNSUPPORTED for a type that no backend multiplies. `on_progress` hears the share of
  // layers done, in 0 .. 1. `files` must outlive this.
  Weights(const ModelFiles& files, const std::function<void(float)>& on_progress);
  Weights(const Weights&) = delete;  // layers point into converted_
  Weights& operator=(const Weights&) = delete;

  Matrix embedding;  // [vocab, hidden]
  Matrix head;       // [vocab, hidden]; the embedding where they are tied
  Norm final_norm;   // [hidden]
  Rope rope;
  std::vector<Layer> layers;
  Counts counts;

  // Of what the files have in another form: on the heap, for as long as this lives.
  size_t owned_bytes() const;

 private:
  Layer layer(int index);
  void add_attention(Layer& layer, const std::string& prefix, int index);
  void add_experts(Layer& layer, const std::string& prefix);
  void add_stacked_experts(Layer& layer, const std::string& prefix);
  FeedForward feed_forward(const std::string& gate, const std::string& up, const std::string& down,
                           int hidden);
  Norm norm(const std::string& name, int size);
  Matrix matrix(const std::string& name, int rows, int cols);
  Matrix stored_matrix(const std::string& name, const Tensor& tensor, int rows, int cols) const;
  Matrix f8_matrix(const std::string& name, const Tensor& tensor, int rows, int cols);
  Matrix int4_matrix(const std::string& name, int rows, int cols);
  const uint8_t* zero_points(const std::string& name, int rows, int groups);
  const float* vector(const std::string& name, const std::vector<int64_t>& shape);
  const float* optional_vector(const std::string& name, const std::vector<int64_t>& shape);
  const float* floats(const std::string& name, const Tensor& tensor);
  const Tensor* find(const std::string& name) const;
  const Tensor& get(const std::string& name, const std::vector<int64_t>& shape) const;
  [[noreturn]] void corrupt(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what) const;

  const Config& config_;
  const Names& names_;
  const Tensors& tensors_;
  const std::string& where_;
  // What the file has in another form than a backend takes: vectors and scales, never matrices.
  std::deque<std::vector<float>> converted_;
  std::deque<std::vector<uint16_t>> halves_;
  std::deque<std::vector<uint8_t>> zeros_;
};

}  // namespace ringside
