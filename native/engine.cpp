#include "engine.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <new>
#include <stdexcept>

#include "error.h"

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
  }
  return "end";
}

Engine::Engine(const std::filesystem::path& path, const LoadOptions& options,
               const std::function<void(float)>& on_progress) try
    : backend_(open_backend(options)),
      files_(path),
      tokenizer_(tokenizer_spec(files_)),
      prompting_(read_prompting(files_, tokenizer_)),
      model_(std::make_unique<Model>(files_, *backend_, options.model, on_progress)) {
  if (tokenizer_.size() > model_->config().vocab_size) {
    throw EngineError(ErrorCode::model_corrupt, files_.where() + ": the tokenizer has ids up to " +
                                                    std::to_string(tokenizer_.size() - 1) +
                                                    ", and the model's vocabulary has " +
                                                    std::to_string(model_->config().vocab_size) +
                                                    " tokens. Download or export them together.");
  }
  sequence_ = std::make_unique<Sequence>(model_->config(), *backend_, model_->context_tokens(),
                                         model_->memory().checkpoint_every);
} catch (const std::bad_alloc&) {
  throw_no_memory(path);
} catch (const std::length_error&) {  // more than any system has
  throw_no_memory(path);
}

// A model whose weights hold what is no number says nothing, and a sampler can't order it.
void Engine::check_numbers(std::span<const float> logits) const {
  constexpr uint32_t kExponent = 0x7F800000;
  bool finite = true;
  for (const float logit : logits) {  // bits, because they are compared many at a time
    finite &= (std::bit_cast<uint32_t>(logit) & kExponent) != kExponent;
  }
  if (finite) return;
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
  const std::span<const Token> prompt = request.tokens;
  const Syntax syntax = check(prompt, request.syntax);
  Generated result;
  Stopwatch watch;

  // Typing mostly appends, so most of the prompt is held already. The last token is read again even
  // when all of it is: the completion starts from its logits.
  const size_t common = sequence_->common_prefix(prompt, syntax);
  const size_t reused = sequence_->truncate(std::min(common, prompt.size() - 1));
  sequence_->set_syntax(syntax);
  result.reused_tokens = int(reused);
  result.truncate_ms = watch.lap();

  std::span<const float> logits;
  while (sequence_->size() < prompt.size() && !cancelled) {
    const auto unread = prompt.subspan(sequence_->size());
    const auto batch = unread.first(std::min(unread.size(), model_->max_batch()));
    if (batch.size() < unread.size()) {
      model_->read(*sequence_, batch);
    } else {
      logits = model_->forward(*sequence_, batch);
    }
  }
  result.read_tokens = int(sequence_->size() - reused);
  result.read_ms = watch.lap();

  if (!logits.empty()) decode(request, logits, cancelled, on_text, result);
  result.decode_ms = watch.lap();
  return result;
}

void Engine::decode(const GenerateRequest& request, std::span<const float> logits,
                    const std::atomic<bool>& cancelled, const TextSink& on_text,
                    Generated& result) {
  Sampler sampler(request.sampling, logits.size());
  TextDecoder text(tokenizer_);  // holds back incomplete UTF-8
  LineCutter line;
  double log_probability = 0;
  const auto emit = [&](std::string_view grown) {
    if (request.single_line) grown = line.cut(grown);
    if (grown.empty()) return;
    result.text += grown;
    on_text(grown);
  };

  result.stop = StopReason::max_tokens;
  while (result.generated_tokens < request.max_tokens) {
    if (cancelled) {
      result.stop = StopReason::cancelled;
      break;
    }
    const auto choices = logits.first(size_t(tokenizer_.size()));
    check_numbers(choices);
    const auto [token, token_log_probability] = sampler.sample(choices);
    result.generated_tokens++;
    log_probability += token_log_probability;
    const auto& ends = request.ends;
    const bool special = tokenizer_.is_special(token);
    if (ends.empty() ? special : std::binary_search(ends.begin(), ends.end(), token)) {
      result.stop = StopReason::end;
      break;
    }
    emit(special ? std::string(text_of_special(token)) : text.decode(token));
    if (line.ended()) {
      result.stop = StopReason::line;
      break;
    }
    if (result.generated_tokens == request.max_tokens) break;
    if (sequence_->size() == sequence_->capacity()) {
      result.stop = StopReason::context_full;
      break;
    }
    logits = model_->forward(*sequence_, {&token, 1});
  }
  if (result.generated_tokens > 0) {
    result.mean_log_probability = log_probability / result.generated_tokens;
  }
}

std::vector<float> Engine::score(std::span<const Token> tokens, const Syntax& syntax,
                                 const std::atomic<bool>& cancelled) {
  const Syntax checked = check(tokens, syntax);
  reset();
  sequence_->set_syntax(checked);
  std::vector<float> scores;
  scores.reserve(tokens.size() - 1);
  while (sequence_->size() < tokens.size()) {
    if (cancelled) return {};
    const size_t start = sequence_->size();
    const auto unread = tokens.subspan(start);
    const auto batch = unread.first(std::min(unread.size(), model_->max_batch()));
    model_->read(*sequence_, batch);
    for (size_t i = 0; i < batch.size() && start + i + 1 < tokens.size(); i++) {
      const auto logits = model_->logits(i);
      check_numbers(logits);
      scores.push_back(log_probability(logits, tokens[start + i + 1]));
    }
  }
  return scores;
}

}  // namespace ringside
