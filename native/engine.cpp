#include "engine.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <stdexcept>
#include <utility>

#include "decoder.h"
#include "device_error.h"
#include "display.h"
#include "error.h"
#include "gpu_library.h"
#include "sampler.h"

namespace ringside {

namespace {

class Stopwatch {
 public:
  // Milliseconds since the last lap, or the start.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::milli> passed = now - last_;
    last_ = now;
    return passed.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

EngineError bad_request(const std::string& message) {
  return EngineError(ErrorCode::bad_request, message);
}

std::unique_ptr<Backend> open_backend(const LoadOptions& options) {
  if (auto backend = make_backend(options.backend, options.threads)) return backend;
  std::string names;
  for (const std::string& name : available_backends()) names += (names.empty() ? "" : ", ") + name;
  throw EngineError(
      ErrorCode::model_unsupported,
      "The backend \"" + options.backend +
          "\" is not available on this processor. Choose \"auto\" or one of: " + names + ".");
}

// With less than this of a GPU's memory nothing is worth running there.
constexpr size_t kLeastDeviceBytes = 64u << 20;

// Below this, weights are in a processor's cache and a batch gains less: the bundled model's (7 MB)
// pass of four tokens takes 1.5 to 1.8 times as long as one of one, and beside another program that
// takes one of two cores, whose threads then wait for each other, middles took 1.25 times as long
// with a draft as without. The limit is set between that and what gains (0.9 GB).
constexpr size_t kLeastDraftBytes = 64u << 20;

CopyModel::Tokens tokens_of(const Tokenizer& tokenizer, const Prompting& prompting) {
  CopyModel::Tokens tokens;
  if (!prompting.ends.empty()) tokens.end = prompting.ends.front();
  tokens.breaks_line.resize(size_t(tokenizer.size()));
  for (Token token = 0; token < tokenizer.size(); token++) {
    tokens.breaks_line[size_t(token)] = tokenizer.bytes(token).find('\n') != std::string_view::npos;
  }
  return tokens;
}

// What a GPU throws becomes what the engine throws.
auto on_device(auto body) {
  try {
    return body();
  } catch (const DeviceError& error) {
    throw EngineError(error.out_of_memory() ? ErrorCode::out_of_memory : ErrorCode::device_lost,
                      std::string("The GPU failed: ") + error.what() +
                          " Load the model again, or set \"ringside.device\" to \"cpu\".");
  }
}

// A pass that a GPU did not end may have moved some layers on and others not, and not every failure
// loses the GPU: what comes next must not read on from there.
auto reading(Sequence& sequence, auto body) {
  try {
    return body();
  } catch (const DeviceError&) {
    sequence.forget();
    throw;
  }
}

[[noreturn]] void throw_no_memory(const std::filesystem::path& path) {
  throw EngineError(ErrorCode::out_of_memory,
                    "The system has no memory left for " + display(path) +
                        ". Close other programs, choose a smaller model, or load with fewer "
                        "contextTokens.");
}

// Cuts text at the first line break that follows something that is not blank.
class LineCutter {
 public:
  // The part of `text` that belongs to the line; `ended` once the break has come.
  std::string_view cut(std::string_view text) {
    for (size_t i = 0; i < text.size(); i++) {
      const char c = text[i];
      if ((c == '\n' || c == '\r') && started_) {
        ended_ = true;
        return text.substr(0, i);
      }
      started_ = started_ || (c != '\n' && c != '\r' && c != ' ' && c != '\t');
    }
    return text;
  }
  // Whether the line's break has come.
  bool ended() const { return ended_; }

 private:
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace

const char* name_of(StopReason reason) {
  switch (reason) {
    case StopReason::end:
      return "end";
    case StopReason::max_tokens:
      return "maxTokens";
    case StopReason::line:
      return "line";
    case StopReason::cancelled:
      return "cancelled";
    case StopReason::context_full:
      return "contextFull";
    case StopReason::unsure:
      return "unsure";
  }
  return "end";
}

Engine::Engine(const std::filesystem::path& path, const LoadOptions& options,
               const std::function<void(float)>& on_progress) try
    : backend_(open_backend(options)),
      files_(path),
      tokenizer_(tokenizer_spec(files_)),
      prompting_(read_prompting(files_, tokenizer_)) {
  on_device([&] { load(options, on_progress); });
  if (tokenizer_.size() > model_->config().vocab_size) {
    throw EngineError(ErrorCode::model_corrupt, files_.where() + ": the tokenizer has ids up to " +
                                                    std::to_string(tokenizer_.size() - 1) +
                                                    ", and the model's vocabulary has " +
                                                    std::to_string(model_->config().vocab_size) +
                                                    " tokens. Download or export them together.");
  }
} catch (const std::bad_alloc&) {
  throw_no_memory(path);
} catch (const std::length_error&) {  // more than any system has
  throw_no_memory(path);
}

// What was free when the layers were placed may be taken when they are put there: then fewer are.
void Engine::load(const LoadOptions& options, const std::function<void(float)>& on_progress) {
  Backends backends(*backend_, nullptr, options.gpu_memory_bytes);
  backends.wants_device = options.gpu.has_value();
  bool open = backends.wants_device;
  while (true) {
    try {
      if (std::exchange(open, false)) gpu_ = open_gpu(*options.gpu);
      backends.device = gpu_.get();
      model_ = std::make_unique<Model>(files_, backends, options.model, on_progress);
      sequence_ =
          std::make_unique<Sequence>(model_->config(), model_->placement(),
                                     model_->context_tokens(), model_->memory().checkpoint_every);
      if (const auto& shares = model_->config().copy_shares; !shares.empty())
        copy_ = CopyModel(shares, tokens_of(tokenizer_, prompting_));
      draft_ = Draft(model_->routed_share());
      drafts_ = model_->weight_bytes().fixed >= kLeastDraftBytes;
      return;
    } catch (const DeviceError& error) {
      if (!error.out_of_memory()) throw;
    }
    model_.reset();
    if (!gpu_) continue;
    gpu_->forget_placed();
    const size_t free = gpu_->free_bytes();
    const size_t tried = backends.device_bytes > 0 ? std::min(backends.device_bytes, free) : free;
    backends.device_bytes = tried / 4 * 3;
    if (backends.device_bytes < kLeastDeviceBytes) gpu_.reset();
  }
}

// A model whose weights hold what is no number says nothing, and a sampler can't order it.
void Engine::throw_no_numbers() const {
  throw EngineError(ErrorCode::model_corrupt,
                    files_.where() +
                        ": what the model computes are no numbers; its weights are "
                        "damaged. Download or export the model again.");
}

std::string_view Engine::text_of_special(Token token) const {
  for (const auto& [text, id] : tokenizer_.special_tokens()) {
    if (id == token) return text;
  }
  return {};
}

// The features sorted, each once, when everything is in range.
Syntax Engine::check(std::span<const Token> tokens, const Syntax& syntax) const {
  const auto vocab_size = model_->config().vocab_size;
  const auto n_features = int(model_->config().syntax_features.size());
  if (tokens.empty()) throw bad_request("The prompt is empty. Send at least one token.");
  if (tokens.size() > sequence_->capacity()) {
    throw bad_request("The prompt has " + std::to_string(tokens.size()) +
                      " tokens, and the context holds " + std::to_string(sequence_->capacity()) +
                      ". Send a shorter prompt, or load with more contextTokens.");
  }
  for (const Token token : tokens) {
    if (token < 0 || token >= vocab_size) {
      throw bad_request("The prompt has the token " + std::to_string(uint32_t(token)) +
                        ", and the vocabulary ends at " + std::to_string(vocab_size - 1) +
                        ". Encode with this model's tokenizer.");
    }
  }
  Syntax sorted = syntax;
  std::sort(sorted.features.begin(), sorted.features.end());
  const auto end = std::unique(sorted.features.begin(), sorted.features.end());
  sorted.features.erase(end, sorted.features.end());
  for (const int feature : sorted.features) {
    if (feature < 0 || feature >= n_features) {
      throw bad_request("There is no syntax feature " + std::to_string(uint32_t(feature)) +
                        "; this model has " + std::to_string(n_features) +
                        ". Send indices into info.syntaxFeatures.");
    }
  }
  return sorted;
}

Generated Engine::generate(const GenerateRequest& request, const std::atomic<bool>& cancelled,
                           const TextSink& on_text) {
  return on_device([&] {
    return reading(*sequence_, [&] { return generate_on(request, cancelled, on_text); });
  });
}

std::vector<float> Engine::score(std::span<const Token> tokens, const Syntax& syntax,
                                 const std::atomic<bool>& cancelled) {
  return on_device(
      [&] { return reading(*sequence_, [&] { return score_on(tokens, syntax, cancelled); }); });
}

// What was read goes for other weights by then.
void Engine::check_files() {
  const std::filesystem::path changed = files_.changed();
  if (changed.empty()) return;
  sequence_->forget();
  throw EngineError(ErrorCode::model_corrupt,
                    display(changed) +
                        " was written to while its model was in use. Load the model again, once "
                        "the file is whole.");
}

Generated Engine::generate_on(const GenerateRequest& request, const std::atomic<bool>& cancelled,
                              const TextSink& on_text) {
  const std::span<const Token> prompt = request.tokens;
  const Syntax syntax = check(prompt, request.syntax);
  check_files();
  Generated result;
  if (cancelled) return result;  // before it began: nothing that was read goes for it
  Stopwatch watch;

  // Typing mostly appends, so most of the prompt is held already. The last token is read again even
  // when all of it is: the completion starts from its logits.
  const size_t common = sequence_->common_prefix(prompt, syntax);
  const size_t reused = sequence_->truncate(std::min(common, prompt.size() - 1));
  sequence_->set_syntax(syntax);
  result.reused_tokens = int(reused);
  result.truncate_ms = watch.lap();

  size_t last_index = 0;  // of the prompt's last token in its batch
  while (sequence_->size() < prompt.size() && !cancelled) {
    const auto unread = prompt.subspan(sequence_->size());
    const auto batch = unread.first(std::min(unread.size(), model_->max_batch()));
    const bool is_last = batch.size() == unread.size();
    model_->read(*sequence_, batch, is_last ? Outputs::last : Outputs::none);
    last_index = batch.size() - 1;
  }
  const bool all_read = sequence_->size() == prompt.size();
  result.read_tokens = int(sequence_->size() - reused);
  const auto on_first = [&] { result.read_ms = watch.lap(); };  // a GPU has only then read all
  if (all_read) decode(request, last_index, cancelled, on_text, on_first, result);
  (!result.tokens.empty() ? result.decode_ms : result.read_ms) = watch.lap();
  return result;
}

void Engine::begin_copying(const GenerateRequest& request) {
  copy_.begin(sequence_->capacity());
  size_t text = 0, behind = 0, behind_end = 0;
  for (size_t i = 0; i < request.tokens.size(); i++) {
    if (i == request.behind) behind = text;
    const Token token = request.tokens[i];
    if (token < tokenizer_.size() && !tokenizer_.is_special(token)) {
      copy_.append(token);
      text++;
    }
    if (i + 1 == request.behind_end) behind_end = text;
  }
  if (request.behind < request.behind_end) copy_.set_behind(behind, behind_end);
}

void Engine::decode(const GenerateRequest& request, size_t last_index,
                    const std::atomic<bool>& cancelled, const TextSink& on_text,
                    const std::function<void()>& on_first, Generated& result) {
  const bool copies = request.copy && copy_.copies();
  if (copies) {
    begin_copying(request);
  }
  Decoder decoder(*model_, *sequence_, request.sampling, tokenizer_.size(), last_index,
                  request.draft.value_or(drafts_) ? &draft_ : nullptr, copies ? &copy_ : nullptr);
  TextDecoder text(tokenizer_);  // holds back incomplete UTF-8
  LineCutter line;
  double line_log_probability = 0;
  const auto emit = [&](std::string_view grown) {
    const std::string_view of_line = line.cut(grown);
    if (request.single_line) grown = of_line;
    if (grown.empty()) return;
    result.text += grown;
    on_text(grown);
  };

  result.stop = StopReason::max_tokens;
  const size_t most = size_t(std::max(0, request.max_tokens));
  while (result.tokens.size() < most) {
    if (cancelled) {
      result.stop = StopReason::cancelled;
      break;
    }
    const auto [token, log_probability, finite] = decoder.next(most - result.tokens.size() - 1);
    if (!finite) throw_no_numbers();
    if (result.tokens.empty()) on_first();
    result.tokens.push_back(token);
    result.log_probabilities.push_back(log_probability);
    if (!line.ended()) line_log_probability += log_probability;
    const auto& ends = request.ends;
    const bool special = tokenizer_.is_special(token);
    if (ends.empty() ? special : std::binary_search(ends.begin(), ends.end(), token)) {
      result.stop = StopReason::end;
      break;
    }
    emit(special ? text.finish() + std::string(text_of_special(token)) : text.decode(token));
    if (request.single_line && line.ended()) {
      result.stop = StopReason::line;
      break;
    }
    if (line_log_probability < request.min_log_probability) {
      result.stop = StopReason::unsure;
      break;
    }
    if (result.tokens.size() == most) break;
    if (decoder.full()) {
      result.stop = StopReason::context_full;
      break;
    }
  }
  result.guessed_tokens = decoder.guessed();
  result.right_guesses = decoder.right();
}

std::vector<float> Engine::score_on(std::span<const Token> tokens, const Syntax& syntax,
                                    const std::atomic<bool>& cancelled) {
  const Syntax checked = check(tokens, syntax);
  check_files();
  if (cancelled) return {};
  sequence_->truncate(0);
  sequence_->set_syntax(checked);
  std::vector<float> scores;
  scores.reserve(tokens.size() - 1);
  while (sequence_->size() < tokens.size()) {
    if (cancelled) return {};
    const size_t start = sequence_->size();
    const auto unread = tokens.subspan(start);
    const auto batch = unread.first(std::min(unread.size(), model_->max_batch()));
    model_->read(*sequence_, batch);
    const size_t scored = std::min(batch.size(), tokens.size() - 1 - start);
    for (size_t i = 0; i < scored; i++) {
      const size_t row = i % kLogitRows;
      if (row == 0) model_->head(i, std::min(kLogitRows, scored - i));
      const Token next = tokens[start + i + 1];
      const auto all = model_->row(row);
      // Rows that fill a vocabulary up are no tokens, and none of them is drawn.
      const size_t known = std::min(size_t(tokenizer_.size()), all.size());
      const auto logits = size_t(next) < known ? all.first(known) : all;
      if (!all_finite(logits)) throw_no_numbers();
      scores.push_back(log_probability(logits, next));
    }
  }
  return scores;
}

}  // namespace ringside
