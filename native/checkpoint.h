// What a sequence keeps so that going back far is a copy and not a reading.
//
// Every `every` positions: the states of the lightning layers, and of each ring layer the rows of
// the positions since the checkpoint before. A ring may look back farther than that, so restoring a
// checkpoint takes rows of those before it too; each row is kept once.
#pragma once

#include <vector>

#include "backend.h"
#include "buffer.h"
#include "config.h"
#include "placement.h"

namespace ringside {

class Checkpoints {
 public:
  static constexpr int kEvery = 128;  // positions, where memory allows

  // Memory for all checkpoints of `context` positions, one every `every`; touched only as they are
  // taken.
  Checkpoints(const Config& config, const Placement& placement, int context, int every);

  // The last position <= `position` that has a checkpoint. 0 is one: everything empty.
  int before(int position) const { return position / every_ * every_; }
  int after(int position) const { return before(position) + every_; }
  bool due(int position) const { return position % every_ == 0; }

  // The layer has read 0 .. position-1. Saves if a checkpoint is due there.
  void save_state(int layer, int position, const LinearState& state);
  void save_rows(int layer, int position, const KvCache& cache);
  // `position` is a multiple of `every`.
  void load_state(int layer, int position, const LinearState& state) const;
  // Puts the rows of positions first .. position-1 back into the ring.
  void load_rows(int layer, int first, int position, const KvCache& cache) const;

  // What the checkpoints of layer `l` take.
  static size_t bytes_for(const Config& config, int l, int context, int every);

 private:
  int every_;     // positions
  int rows_ = 0;  // of a ring layer in one checkpoint: no more than it looks back
  Placement placement_;
  std::vector<Snapshots> snapshots_;  // of each layer; no floats: the layer needs none
  std::vector<Buffer<float>> memory_;
};

}  // namespace ringside
