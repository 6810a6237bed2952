// A model, loaded: immutable weights, and the forward pass over a Sequence.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend.h"
#include "buffer.h"
#include "config.h"
#include "memory.h"
#include "model_files.h"
#include "pager.h"
#include "placement.h"
#include "sequence.h"
#include "weights.h"

namespace ringside {

struct ModelOptions {
  int context_tokens = 0;     // 0: what the model was made for, the maximum
  size_t memory_bytes = 0;    // for everything; 0: no limit
  size_t machine_bytes = 0;   // that there are, as in a container; 0: what the system says
  float expert_coverage = 1;  // of a token's router weight, run experts until so much is covered
  float active_share = 1;     // of the parameters, at most so many run for a token
  // Keys and values of softmax layers: f16 takes half the memory of f32. Not given: f16 where
  // attention is full, whose cache grows with the context; a ring is small, and keeps f32.
  std::optional<Type> kv_cache = std::nullopt;
  int slope_layer_shift = 0;  // of lightning attention's decay, see decay()
};

// After which tokens of a batch the model's logits will be asked for.
enum class Outputs : uint8_t { none, last, all };

class Model {
 public:
  // Tokens; they bound the wait for a cancel. A GPU needs more at once to be busy.
  static constexpr int kMaxBatch = 256, kMaxDeviceBatch = 512;

  // Throws EngineError MODEL_CORRUPT, MODEL_UNSUPPORTED, OUT_OF_MEMORY, or BAD_REQUEST for options
  // out of range, and DeviceError. `files` must outlive this.
  Model(const ModelFiles& files, const Backends& backends, const ModelOptions& options,
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
  // Of the parameters that run for a token, those of the experts that it takes, in 0 .. 1.
  double routed_share() const;
  const Placement& placement() const { return placement_; }
  // What computes the logits and draws from them.
  Backend& backend() const { return placement_.last(); }
  // The most tokens that one forward() takes: kMaxBatch, or less for a short ring.
  size_t max_batch() const { return size_t(plan_.max_batch); }

  // Reads `tokens` (1 .. max_batch() of them, and room for them in the sequence) and returns the
  // logits [vocab_size] after the last, valid until the next call. Allocates nothing.
  std::span<const float> forward(Sequence& sequence, std::span<const Token> tokens);
  // Reads them; logits() and draw() may be asked for those that `outputs` says. Of others the last
  // layer only makes what later tokens attend to.
  void read(Sequence& sequence, std::span<const Token> tokens, Outputs outputs = Outputs::all);
  // Logits after the token at `index` of the last batch read, valid until the next call.
  std::span<const float> logits(size_t index);

  // Makes the logits after `count` tokens from `first` on of the last batch read, at most
  // kLogitRows: the head's weights are read once for all. row() and draw() number them 0 ..
  // count-1.
  void head(size_t first, size_t count);
  // Row `row` of what head() made, valid until the next call of anything but draw() and row().
  std::span<const float> row(size_t row);
  // Mixes into a row of what head() made, before it is drawn from: see Backend::mix. `choices` as
  // below.
  void mix(size_t row, int choices, std::span<const Candidate> copied, float share);
  // Drawing the next token from a row of what head() made; of the logits, only the first `choices`
  // are drawn from. Ask backend().choice() for it.
  void draw(size_t row, int choices);
  // Whether step() can be used: one device does everything.
  bool steps_alone() const { return placement_.embeds_on_device && backend().runs_ahead(); }
  // Reads the token that was drawn last, which only the device knows yet, and draws the next one.
  // `position`: of that token, the sequence's size once all before it are appended.
  void step(Sequence& sequence, int position, int choices);

 private:
  // Activations of one batch, in a backend's memory; n rows are used. One pass at a time.
  struct Scratch {
    Buffer<float> x;       // the residual stream, [n, hidden]
    Buffer<float> xn;      // its norm, [n, hidden]
    Buffer<float> qkv;     // [n, q | k | v]
    Buffer<float> attn;    // [n, heads * head_dim]
    Buffer<float> gate;    // [n, max(heads * head_dim, ffn_hidden)]
    Buffer<float> up;      // [n, ffn_hidden]
    Buffer<float> out;     // [n, hidden]
    Buffer<float> logits;  // [kLogitRows, vocab]
    Buffer<int> experts;   // [n, top_k]
    Buffer<float> expert_weights;
    Buffer<int> features;  // [all that there are]
    Buffer<Token> tokens;  // [n]
    Buffer<Token> drawn;   // [1]
  };
  // The layers that one backend runs.
  struct Stage {
    Backend& b;
    int first, end;
    Rope rope;
    Scratch s;
  };
  // What layers ask of a pass: n tokens from `position` on, which only a device that repeats a
  // recorded pass may move. first_output: the first whose logits may be asked for.
  struct Pass {
    Sequence& sequence;
    int n, position, n_features, first_featured, first_output;
  };

  void place_weights();
  Stage make_stage(Backend& backend, int first, int end);
  void run(Stage& stage, const Pass& pass);
  void norm(Stage& stage, float* y, const float* x, const Norm& norm, int n);
  void add_norm(Stage& stage, const Norm& norm, int first, int n);
  void softmax_attention(Stage& stage, const Layer& w, const Pass& pass, int layer, int first);
  void lightning_attention(Stage& stage, const Layer& w, const Pass& pass, int layer);
  void feed_forward(Stage& stage, const Layer& w, const Pass& pass, int layer, int first);
  float* logits_at(size_t row) const;
  void begin(Sequence& sequence, int position);
  Pass pass_of(Sequence& sequence, int n, int position, Outputs outputs) const;
  void count_bytes(const ModelFiles& files);
  void limit_experts(const ModelOptions& options);
  void norm_head();

  Config config_;
  std::unique_ptr<Weights> weights_;
  Placement placement_;
  WeightBytes bytes_;
  MemoryPlan plan_;
  std::unique_ptr<ExpertPager> pager_;
  int max_experts_ = 0;
  std::vector<float> head_scale_;  // [vocab], of each row of the head; or empty
  const float* placed_head_scale_ = nullptr;
  std::vector<Stage> stages_;   // the host's, the device's, or both
  std::vector<float> between_;  // [n, hidden], from one to the other
  std::vector<float> logits_;   // [vocab], where the device's memory is not the host's
};

}  // namespace ringside
