// A second, simple opinion of what comes next: what followed in the text itself wherever its end
// stood before. Code repeats names, calls and lines, and a small model is bad at seeing it.
//
// A cache language model (Kuhn and De Mori 1990; beside a neural one: Grave et al. 2017,
// arXiv:1612.04426). Where the end of the text stood before, each place votes for the token behind
// it, with kGrowth times the weight for each token that matches; and what the votes say is mixed
// with what the model says: (1 - share) p_model + share p_votes. The share grows with the longest
// match, and belongs to the model: config.json has it as "copy_shares", fitted by
// training/copying.py. Larger models see repetition by themselves and have none.
//
// In a middle, a vote for what stands right behind the cursor is one for its end, also where
// nothing is written yet: behind a whole line nothing is missing. And a line does not copy the line
// behind it, which lines seldom say once more.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "backend.h"

namespace ringside {

class CopyModel {
 public:
  static constexpr size_t kMostMatch = 12;  // tokens; longer ones are no surer

  struct Votes {
    float share = 0;                        // 0: there is nothing to mix
    std::span<const Candidate> candidates;  // the likeliest; probabilities sum to 1
  };

  // What the votes need to know of the tokens.
  struct Tokens {
    std::optional<Token> end;       // says that a text, or a middle, ends
    std::vector<bool> breaks_line;  // [tokens], whether its text holds a line break; or empty
  };

  // shares[n]: of a longest match of n tokens, 0 .. kMostMatch, each below 1; those beyond the last
  // given are as that one. Empty: nothing is copied.
  explicit CopyModel(std::span<const float> shares = {}, Tokens tokens = {});
  bool copies() const { return longest_ > 0; }

  // The text so far, without the special tokens that only mark its parts: behind a middle's marker
  // its beginning goes on.
  void begin(size_t capacity);
  void append(Token token);
  // Of the text so far, [first, last) stands behind the cursor.
  void set_behind(size_t first, size_t last);

  // What may follow. Valid until the next call of anything.
  Votes votes();

 private:
  bool breaks_line(Token token) const {
    return size_t(token) < tokens_.breaks_line.size() && tokens_.breaks_line[size_t(token)];
  }
  struct Stretch {
    size_t begin = 0, end = 0;
  };
  bool repeats_a_line_behind(size_t place, size_t so_far) const;

  std::array<float, kMostMatch + 1> shares_{};
  size_t longest_ = 0;  // match that has a share
  Tokens tokens_;
  std::vector<Token> text_;
  std::optional<Token> behind_;  // the first token behind the cursor
  // Of text_, each with the token that ends it: what is behind the cursor in its line, and the next
  // line with text.
  std::array<Stretch, 2> lines_behind_{};
  std::vector<Candidate> candidates_;
};

}  // namespace ringside
