// One token after another, drawn from what the model says.
#pragma once

#include "model.h"
#include "sequence.h"

namespace ringside {

// A device that runs ahead computes the next token while the host looks at this one: its step takes
// the drawn token from the device's own memory, and the host hears of it later.
//
// Invariant: of the drawn tokens, the sequence has read all but the last one, and where a step runs
// ahead the last one too.
class Decoder {
 public:
  // Draws from the logits after the last token that `model` has read; of them the first `choices`.
  Decoder(Model& model, Sequence& sequence, const Sampling& sampling, int choices,
          size_t last_index)
      : model_(model), sequence_(sequence), choices_(choices) {
    model.backend().begin_sampling(sampling);
    model.draw(last_index, choices);
  }

  // The next token. `goes_on`: there is room for it in the sequence, and another one may be asked
  // for.
  Choice next(bool goes_on);
  // Whether the sequence has no room for the last token.
  bool full() const { return unread_ >= 0 && sequence_.size() == sequence_.capacity(); }

 private:
  Model& model_;
  Sequence& sequence_;
  int choices_;
  int drawn_ = 0;      // choices that were handed out
  Token unread_ = -1;  // the last one, if the sequence has not read it
};

}  // namespace ringside
