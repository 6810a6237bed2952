// Which routed experts are in memory, where they do not all fit: the least recently used go first,
// but in batches, which take all layers in turn, those used last.
//
// The file's mapping is the store: dropping an expert returns its pages to the system, and touching
// it again reads them back. So nothing here is needed for correctness, only for the limit.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "weights.h"

namespace ringside {

class ExpertPager {
 public:
  // `limit`: bytes of experts that may be resident. `files` must outlive this.
  ExpertPager(std::span<const Layer> layers, const ModelFiles& files, size_t limit);

  // The experts (-1: none) that layer `layer` is about to run: drops others as the limit asks, and
  // has the system read those that are not resident. Allocates nothing.
  void touch(int layer, std::span<const int> experts);

  size_t resident_bytes() const { return resident_; }
  size_t loads() const { return loads_; }  // experts read so far, those read again too

 private:
  // Where an expert's weights lie, and its neighbours in order of use (indices, -1: none).
  struct Expert {
    std::vector<std::span<const std::byte>> parts;
    size_t bytes = 0;
    int newer = -1, older = -1;
    bool resident = false;
    unsigned used_in = 0;  // the number of the last touch()
  };

  static void add(const Matrix& matrix, const ModelFiles& files, Expert& expert);
  void unlink(int index);
  void push_newest(int index);
  void load(Expert& expert);
  void drop(int index);

  std::vector<Expert> experts_;
  std::vector<int> first_of_layer_;  // and behind the last
  size_t limit_;
  size_t resident_ = 0;
  size_t loads_ = 0;
  int newest_ = -1, oldest_ = -1;
  unsigned touches_ = 0;
};

}  // namespace ringside
