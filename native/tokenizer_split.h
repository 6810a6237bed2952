// The pre-tokenizer: cuts text into the pieces that are encoded on their own.
#pragma once

#include <string_view>
#include <vector>

#include "regex.h"
#include "tokenizer_spec.h"

namespace ringside {

// The splits of GPT-2 and of the ringside family.
extern const std::string_view kGpt2Pattern;
extern const std::string_view kRingsidePattern;

// The length in bytes of the first piece that kRingsidePattern cuts `text` (not empty) into: the
// same by hand, because our own model is encoded at every keystroke, and this takes a third of
// the time of the program for the pattern.
size_t piece_length(std::string_view text);

class Splitter {
 public:
  // Throws EngineError MODEL_UNSUPPORTED for a pattern that cannot be read.
  explicit Splitter(const std::vector<SplitStep>& steps);

  // The pieces of `text` in order, none of them empty. Valid until the next call.
  const std::vector<std::string_view>& split(std::string_view text);

 private:
  struct Step {
    Regex regex;
    SplitStep::Behavior behavior;
    bool invert;
  };
  void apply(Step& step, std::string_view text);

  bool is_ringside_;
  std::vector<Step> steps_;
  std::vector<std::string_view> pieces_, next_;
  std::vector<Regex::Match> matches_;
};

}  // namespace ringside
