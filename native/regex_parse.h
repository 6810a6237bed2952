// The tree of a regular expression, between its text and its program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "unicode.h"

namespace ringside {

constexpr int kUnlimited = -1;

struct RegexNode {
  enum class Kind { set, sequence, alternatives, repeat, look, line_end };
  enum class Greed { greedy, lazy, possessive };
  Kind kind = Kind::sequence;
  CodePointSet set{};
  std::vector<RegexNode> children{};
  int min = 0, max = 0;  // of a repeat
  Greed greed = Greed::greedy;
  bool negated = false;  // of a look
};

// Throws EngineError MODEL_UNSUPPORTED, naming the pattern and the byte.
RegexNode parse_regex(std::string_view pattern);

// Throws that error about `pattern` as a whole, or about its byte `at`.
[[noreturn]] void fail_regex(std::string_view pattern, size_t at, const std::string& what);

}  // namespace ringside
