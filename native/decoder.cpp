#include "decoder.h"

namespace ringside {

Choice Decoder::next(bool goes_on) {
  Backend& backend = model_.backend();
  if (unread_ >= 0) {
    model_.read(sequence_, {&unread_, 1}, Outputs::last);
    model_.draw(0, choices_);
    unread_ = -1;
  }
  const bool ahead = goes_on && model_.steps_alone();
  if (ahead) model_.step(sequence_, int(sequence_.size()), choices_);
  const Choice choice = backend.choice(drawn_++);
  if (ahead) {
    sequence_.append({&choice.token, 1});  // being read already
  } else {
    unread_ = choice.token;
  }
  return choice;
}

}  // namespace ringside
