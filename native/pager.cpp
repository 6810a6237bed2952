#include "pager.h"

#include "mapping.h"

namespace ringside {

ExpertPager::ExpertPager(std::span<const Layer> layers, const ModelFiles& files, size_t limit)
    : limit_(limit) {
  for (const Layer& layer : layers) {
    first_of_layer_.push_back(int(experts_.size()));
    for (const FeedForward& ffn : layer.experts) {
      Expert& expert = experts_.emplace_back();
      for (const Matrix* matrix : {&ffn.gate, &ffn.up, &ffn.down}) {
        add(*matrix, files, expert);
      }
      for (const auto part : expert.parts) read_no_neighbours(part);
    }
  }
  first_of_layer_.push_back(int(experts_.size()));
}

// Only what lies in a mapped file may be dropped: converted scales are this process's own.
void ExpertPager::add(const Matrix& matrix, const ModelFiles& files, Expert& expert) {
  const auto add_part = [&](const void* data, size_t bytes) {
    if (bytes == 0 || !files.maps(data)) return;
    expert.parts.emplace_back(static_cast<const std::byte*>(data), bytes);
    expert.bytes += bytes;
  };
  add_part(matrix.data, data_bytes(matrix));
  add_part(matrix.scales, scale_bytes(matrix));
}

void ExpertPager::touch(int layer, std::span<const int> experts) {
  touches_++;
  const int first = first_of_layer_[size_t(layer)], end = first_of_layer_[size_t(layer) + 1];
  int wanted = 0;
  size_t missing = 0;  // bytes
  for (const int e : experts) {
    if (e < 0) continue;
    Expert& expert = experts_[size_t(first + e)];
    if (expert.used_in == touches_) continue;
    expert.used_in = touches_;
    wanted++;
    if (expert.resident) {
      unlink(first + e);
    } else {
      missing += expert.bytes;
    }
  }
  // A batch takes most experts of every layer in turn, so what it used last it needs last. A token
  // takes few, and likely those of the token before.
  const bool in_turn = 2 * wanted > end - first;
  while (resident_ + missing > limit_ && oldest_ >= 0) drop(in_turn ? newest_ : oldest_);
  for (int index = first; index < end; index++) {  // the order in which they will be run
    Expert& expert = experts_[size_t(index)];
    if (expert.used_in != touches_) continue;
    if (!expert.resident) load(expert);
    push_newest(index);
  }
}

void ExpertPager::load(Expert& expert) {
  for (const auto part : expert.parts) will_need(part);
  expert.resident = true;
  resident_ += expert.bytes;
  loads_++;
}

void ExpertPager::drop(int index) {
  Expert& expert = experts_[size_t(index)];
  unlink(index);
  for (const auto part : expert.parts) drop_pages(part);
  expert.resident = false;
  resident_ -= expert.bytes;
}

void ExpertPager::unlink(int index) {
  Expert& expert = experts_[size_t(index)];
  (expert.newer < 0 ? newest_ : experts_[size_t(expert.newer)].older) = expert.older;
  (expert.older < 0 ? oldest_ : experts_[size_t(expert.older)].newer) = expert.newer;
  expert.newer = expert.older = -1;
}

void ExpertPager::push_newest(int index) {
  Expert& expert = experts_[size_t(index)];
  expert.older = newest_;
  expert.newer = -1;
  (newest_ < 0 ? oldest_ : experts_[size_t(newest_)].newer) = index;
  newest_ = index;
}

}  // namespace ringside
