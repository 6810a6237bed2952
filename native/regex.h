// Regular expressions as pre-tokenizers use them, matched as Oniguruma does (the first alternative
// that leads to a match wins), in time linear in the text whatever the pattern.
//
// Read: literals, ., classes, \p{..} \P{..}, \s \d \w \r \n \t \f \v and their negations, \x \u,
// (..) and (?:..) alike, (?i:..) over ASCII, |, ? * + {m,n}, lazy and (of one character) possessive
// repeats, (?=..), (?!..), $. Not read: captures, back references, look-behind, other anchors.
//
// How it stays linear: a state is a choice in the program and a place in the text. Whether a match
// can be reached from it depends on nothing else, so a state that failed once is never tried again.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unicode.h"

namespace ringside {

struct RegexProgram {
  enum class Op : uint8_t {
    accept,
    set,     // one character of sets[set]
    run,     // as many characters of sets[set] as there are, and never fewer
    choice,  // `next`, or else `other`; remembered in the memo
    look,    // goes on only if (or, negated: unless) `other` leads to its accept
    line_end,
  };
  struct Instruction {
    Op op = Op::accept;
    int set = 0;
    int next = -1, other = -1;
    int memo = -1;             // of a choice: its number
    bool is_loop = false;      // of a choice: can be reached from itself
    bool negated = false;      // of a look
    bool cannot_fail = false;  // an accept is reached from here whatever the text
    std::bitset<257> first{};  // the bytes that a match from here can start with; 256: the end
  };
  std::vector<CodePointSet> sets;
  std::vector<Instruction> instructions;
  int start = 0;
  int n_choices = 0;
};

// Throws EngineError MODEL_UNSUPPORTED, naming the pattern, for what is not read or too large.
RegexProgram compile_regex(std::string_view pattern);

class Regex {
 public:
  explicit Regex(std::string_view pattern) : program_(compile_regex(pattern)) {}

  struct Match {
    size_t start = 0, end = 0;  // in bytes
    bool operator==(const Match&) const = default;
  };
  // Every match in `text`, from left to right. An empty match right after another is none.
  void find_all(std::string_view text, std::vector<Match>& matches);

  // How many instructions the last find_all took: what a test of its linearity counts.
  uint64_t steps() const { return steps_; }
  // What it never takes more than, for a text of `n` bytes: a state fails once, and twice the
  // program leads to another state. The patterns in use take a few steps for a byte.
  uint64_t most_steps(size_t n) const;

 private:
  enum class Outcome : uint8_t { unknown, failed, matched };
  struct Alternative {
    int instruction = 0;
    size_t at = 0;
    size_t trail = 0;  // how long the trail was
  };

  std::optional<size_t> match(int instruction, size_t at, bool looking);
  bool may_start(int instruction, size_t at) const;
  Outcome outcome(size_t state) const { return Outcome(memo_[state / 4] >> (state % 4 * 2) & 3); }
  void set_outcome(size_t state, Outcome outcome);

  RegexProgram program_;
  uint64_t steps_ = 0;
  std::string_view text_;
  std::vector<uint8_t> memo_;              // two bits a state
  std::vector<size_t> trail_;              // the states on the way to here
  std::vector<Alternative> alternatives_;  // still to be tried
};

}  // namespace ringside
