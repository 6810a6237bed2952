// What the model may write next, guessed from what stands in the text already: code repeats names,
// calls and whole lines, and who changes code repeats most of it.
//
// Guesses are read as one batch, whose weights are read once, and of them those are kept that the
// model would have drawn. So the text is the same, and a wrong guess costs time alone. (Speculative
// decoding: Leviathan et al. 2023, arXiv:2211.17192; with the prompt as what drafts: Saxena 2023,
// "Prompt Lookup Decoding".)
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "backend.h"

namespace ringside {

class Draft {
 public:
  // Where the longest end of a text stood before: its tokens, at most kMostMatch, 0 for none that
  // tells anything; and the index of what followed it.
  struct Match {
    size_t tokens = 0, next = 0;
  };
  static constexpr size_t kMostMatch = 12;  // longer ones are no surer
  static Match longest_match(std::span<const Token> read, Token last);

  // Tokens at most: with the one before them they fill the CPU's tile of activations, behind which
  // a batch costs a step more (see kPassCost).
  static constexpr size_t kMost = 3;

  // `routed_share`: of the weights that run for a token, the experts' that were chosen for it, in 0
  // .. 1. Each token brings its own, so they make a batch dearer.
  explicit Draft(double routed_share);

  // What may follow `read` and `last`: what followed where the longest end of them stood before,
  // the last such place. At most `most` tokens, and only as many as are expected to gain time;
  // often none. Valid until the next call.
  std::span<const Token> propose(std::span<const Token> read, Token last, size_t most);

 private:
  std::array<double, kMost + 2> cost_;  // of a pass by its tokens; that of one is 1
  std::array<Token, kMost> guesses_{};
};

}  // namespace ringside
