#include "decoder.h"

#include <algorithm>
#include <cassert>

namespace ringside {

static_assert(Draft::kMost + 1 <= kLogitRows);

Decoder::Decoder(Model& model, Sequence& sequence, const Sampling& sampling, int choices,
                 size_t last_index, Draft* draft, CopyModel* copy)
    : model_(model), sequence_(sequence), vocabulary_(choices), draft_(draft), copy_(copy) {
  model.backend().begin_sampling(sampling);
  model.head(last_index, 1);
  draw(0);
}

void Decoder::draw(size_t row) {
  if (copy_ != nullptr) {
    const auto [share, candidates] = copy_->votes();
    if (share > 0) model_.mix(row, vocabulary_, candidates, share);
  }
  model_.draw(row, vocabulary_);
}

Choice Decoder::drawn() {
  const Choice choice = model_.backend().choice(drawn_++);
  if (copy_ != nullptr) copy_->append(choice.token);
  return choice;
}

Choice Decoder::next(size_t more) {
  if (handed_out_ == made_) make(more);
  return choices_[handed_out_++];
}

void Decoder::make(size_t more) {
  const size_t read = unread_ >= 0 ? read_unread(more) : 1;
  unread_ = -1;
  const bool has_room = sequence_.size() < sequence_.capacity();
  // What is copied, only the host knows.
  const bool ahead = has_room && more > 0 && copy_ == nullptr && model_.steps_alone();
  if (ahead) model_.step(sequence_, int(sequence_.size()), vocabulary_);
  handed_out_ = 0;
  choices_[0] = drawn();
  made_ = 1;
  if (ahead) {
    sequence_.append({&choices_[0].token, 1});  // being read already
    return;
  }
  while (made_ < read && choices_[made_ - 1].token == batch_[made_]) {
    draw(made_);
    choices_[made_++] = drawn();
  }
  right_ += int(made_ - 1);
  unread_ = choices_[made_ - 1].token;
  if (made_ == read) return;
  const size_t size = sequence_.size() - (read - made_);
  [[maybe_unused]] const size_t left = sequence_.truncate(size);
  assert(left == size);
}

// Reads the last token, and with it what may follow it; draws what follows the last token alone.
// Returns how many tokens were read.
size_t Decoder::read_unread(size_t more) {
  size_t n = 1;
  batch_[0] = unread_;
  if (draft_ != nullptr && !model_.steps_alone()) {
    const size_t room = sequence_.capacity() - sequence_.size();
    const size_t most = std::min({more, room - 1, model_.max_batch() - 1});
    for (const Token guess : draft_->propose(sequence_.tokens(), unread_, most)) {
      batch_[n++] = guess;
    }
  }
  guessed_ += int(n - 1);
  if (n > 1) sequence_.mark();
  model_.read(sequence_, {batch_.data(), n}, n > 1 ? Outputs::all : Outputs::last);
  model_.head(0, n);
  draw(0);
  return n;
}

}  // namespace ringside
