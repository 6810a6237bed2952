// One token after another, drawn from what the model says.
#pragma once

#include <array>

#include "copy_model.h"
#include "draft.h"
#include "model.h"
#include "sequence.h"

namespace ringside {

// A device that runs ahead computes the next token while the host looks at this one: its step takes
// the drawn token from the device's own memory, and the host hears of it later. Elsewhere several
// tokens may be guessed and read at once: of what is drawn behind each, all that the guesses agree
// with is handed out.
//
// Invariant: of the drawn tokens, the sequence has read all but the last one, and where a step runs
// ahead the last one too.
class Decoder {
 public:
  // Draws from the logits after the last token that `model` has read, at `last_index` of its batch;
  // of them the first `choices`. `draft` may be null: then one token is read at a time. `copy` may
  // be null; else it has the text so far, and is told what is drawn.
  Decoder(Model& model, Sequence& sequence, const Sampling& sampling, int choices,
          size_t last_index, Draft* draft = nullptr, CopyModel* copy = nullptr);

  // The next token. `more`: how many may be asked for after it.
  Choice next(size_t more);
  // Whether the sequence has no room for the last token.
  bool full() const {
    return handed_out_ == made_ && unread_ >= 0 && sequence_.size() == sequence_.capacity();
  }
  // Tokens that were guessed, and of them those that were right.
  int guessed() const { return guessed_; }
  int right() const { return right_; }

 private:
  void make(size_t more);
  void draw(size_t row);
  Choice drawn();
  size_t read_unread(size_t more);

  Model& model_;
  Sequence& sequence_;
  int vocabulary_;  // tokens that may be drawn, the first ones
  Draft* draft_;
  CopyModel* copy_;
  int drawn_ = 0;                                 // choices that were asked of the backend
  Token unread_ = -1;                             // the last one, if the sequence has not read it
  std::array<Token, Draft::kMost + 1> batch_;     // of the last pass
  std::array<Choice, Draft::kMost + 1> choices_;  // behind its tokens, as far as they hold
  size_t made_ = 0, handed_out_ = 0;              // of choices_
  int guessed_ = 0, right_ = 0;
};

}  // namespace ringside
