// Texts as decoding meets them, and reading them.
#pragma once

#include <algorithm>
#include <random>
#include <span>
#include <vector>

#include "model.h"
#include "sequence.h"

namespace ringside {

// A text of tokens below `vocabulary` that repeats itself with changes.
inline std::vector<Token> repetitive(std::mt19937& random, size_t size, int vocabulary = 320) {
  std::vector<Token> tokens;
  while (tokens.size() < size) {
    const size_t from = tokens.size() < 40 ? tokens.size() : random() % (tokens.size() - 20);
    for (size_t i = 0; i < 20; i++) {
      const bool copied = from + i < tokens.size() && random() % 8 != 0;
      tokens.push_back(copied ? tokens[from + i] : Token(random() % size_t(vocabulary)));
    }
  }
  return tokens;
}

// Reads what of `tokens` is not read, in batches of at most `most`; returns the last one's index in
// its batch.
inline size_t read(Model& model, Sequence& sequence, std::span<const Token> tokens,
                   size_t most = SIZE_MAX) {
  size_t last = 0;
  while (sequence.size() < tokens.size()) {
    const auto unread = tokens.subspan(sequence.size());
    const auto batch = unread.first(std::min({unread.size(), model.max_batch(), most}));
    model.read(sequence, batch, Outputs::last);
    last = batch.size() - 1;
  }
  return last;
}

}  // namespace ringside
