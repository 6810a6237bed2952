// From a prompt to text: one model, one sequence, one generation at a time.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "copy_model.h"
#include "draft.h"
#include "model.h"
#include "prompting.h"
#include "sequence.h"
#include "tokenizer.h"

namespace ringside {

struct LoadOptions {
  std::string backend = "auto";  // of the host
  std::optional<int> gpu;        // of probe_gpus(): runs as many layers as fit it
  size_t gpu_memory_bytes = 0;   // of the GPU's memory, at most so many; 0: what is free
  int threads = 0;               // 0: the physical cores
  ModelOptions model;
};

struct GenerateRequest {
  std::vector<Token> tokens;
  Syntax syntax;  // features as the caller gave them, in any order
  int max_tokens = 0;
  Sampling sampling;
  bool single_line = false;
  // Whether tokens are guessed, see Draft. Not given: if the model is large enough to gain by it.
  std::optional<bool> draft;
  // Whether the model may copy, see CopyModel; most have nothing to copy with.
  bool copy = true;
  // Of `tokens`, [behind, behind_end) stand behind the cursor; copying asks where.
  size_t behind = 0, behind_end = 0;
  // Ends once the first line with text is less likely than this, a natural logarithm: who would not
  // show it need not wait for the rest.
  double min_log_probability = -std::numeric_limits<double>::infinity();
  // Tokens that end the text, sorted; the text of other special tokens is then part of it. Empty:
  // any special token ends it, since what would follow is another part of a prompt.
  std::vector<Token> ends;
};

enum class StopReason { end, max_tokens, line, cancelled, context_full, unsure };
const char* name_of(StopReason reason);  // as JavaScript sees it

struct Generated {
  std::string text;  // whole characters only
  StopReason stop = StopReason::cancelled;
  int reused_tokens = 0;
  int read_tokens = 0;
  int guessed_tokens = 0;  // by a draft, and of them those that were right
  int right_guesses = 0;
  double truncate_ms = 0;
  double read_ms = 0;
  double decode_ms = 0;
  std::vector<Token> tokens;             // generated ones, with the one that ended it
  std::vector<float> log_probabilities;  // natural, one for each of `tokens`
};

using TextSink = std::function<void(std::string_view)>;

class Engine {
 public:
  // `path`: see ModelFiles. Throws EngineError and nothing else, whatever the files hold.
  // `on_progress` hears a share in 0 .. 1, on this
  // thread.
  Engine(const std::filesystem::path& path, const LoadOptions& options,
         const std::function<void(float)>& on_progress);

  const ModelFiles& files() const { return files_; }
  const Prompting& prompting() const { return prompting_; }
  const Model& model() const { return *model_; }
  const Sequence& sequence() const { return *sequence_; }
  Tokenizer& tokenizer() { return tokenizer_; }
  // The host's.
  Backend& backend() const { return *backend_; }
  // "" without one.
  std::string gpu_name() const { return gpu_ ? gpu_->device_name() : ""; }

  // Continues request.tokens. Throws EngineError DEVICE_LOST if a GPU fails. Polls `cancelled`
  // before each batch and each token; what was read by then stays read. Throws EngineError
  // BAD_REQUEST for tokens, features or sizes that do not fit, MODEL_CORRUPT for a model that
  // computes what is no number.
  Generated generate(const GenerateRequest& request, const std::atomic<bool>& cancelled,
                     const TextSink& on_text);

  // The natural log probability of each token but the first, given those before it, by the model
  // alone, without CopyModel. Empty if cancelled.
  std::vector<float> score(std::span<const Token> tokens, const Syntax& syntax,
                           const std::atomic<bool>& cancelled);

  void reset() noexcept { sequence_->forget(); }

 private:
  void load(const LoadOptions& options, const std::function<void(float)>& on_progress);
  [[noreturn]] void throw_no_numbers() const;
  Syntax check(std::span<const Token> tokens, const Syntax& syntax) const;
  void check_files();
  Generated generate_on(const GenerateRequest& request, const std::atomic<bool>& cancelled,
                        const TextSink& on_text);
  std::vector<float> score_on(std::span<const Token> tokens, const Syntax& syntax,
                              const std::atomic<bool>& cancelled);
  void begin_copying(const GenerateRequest& request);
  void decode(const GenerateRequest& request, size_t last_index, const std::atomic<bool>& cancelled,
              const TextSink& on_text, const std::function<void()>& on_first, Generated& result);

  std::string_view text_of_special(Token token) const;

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Backend> gpu_;  // or null
  ModelFiles files_;
  Tokenizer tokenizer_;
  Prompting prompting_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Sequence> sequence_;
  CopyModel copy_;
  Draft draft_{0};
  bool drafts_ = false;  // where a request does not say
};

}  // namespace ringside
