// What a sequence keeps so that going back far is a copy and not a reading.
//
// Every `every` positions: the states of the lightning layers, and of each ring layer the rows of
// the positions since the checkpoint before. A ring may look back farther than that, so restoring a
// checkpoint takes rows of those before it too; each row is kept once.
#pragma once

#include <memory>
#include <vector>

#include "backend.h"
#include "config.h"

namespace ringside {

class Checkpoints {
 public:
  static constexpr int kEvery = 128;  // positions, where memory allows

  // Memory for all checkpoints of `context` positions, one every `every`; touched only as they are
  // taken.
  Checkpoints(const Config& config, int context, int every);

  // The last position <= `position` that has a checkpoint. 0 is one: everything empty.
  int before(int position) const { return position / every_ * every_; }
  int after(int position) const { return before(position) + every_; }
  bool due(int position) const { return position % every_ == 0; }

  // `position` is a multiple of `every`, > 0 to save. States: what the layer holds of 0 ..
  // position-1.
  void save_state(int layer, int position, const LinearState& state);
  void load_state(int layer, int position, const LinearState& state) const;
  // Rows of positions position-rows_ .. position-1, which the ring must hold.
  void save_rows(int layer, int position, const KvCache& cache);
  // Puts the rows of positions first .. position-1 back into the ring.
  void load_rows(int layer, int first, int position, const KvCache& cache) const;

  static size_t bytes_for(const Config& config, int context, int every);

 private:
  float* at(int layer, int position) const;

  int every_;                   // positions
  int rows_ = 0;                // of a ring layer in one checkpoint: no more than it looks back
  size_t count_ = 0;            // checkpoints, the one at 0 left out
  std::vector<size_t> offset_;  // of each layer's first checkpoint
  std::vector<size_t> floats_;  // of one checkpoint of each layer; 0: the layer needs none
  size_t size_ = 0;
  std::unique_ptr<float[]> memory_;
};

}  // namespace ringside
