#include "checkpoint.h"

#include <algorithm>

namespace ringside {

namespace {

int rows_of(const Config& config, int every) { return std::min(every, config.ring_reach()); }

// Of one checkpoint of layer `l`.
size_t floats_of(const Config& config, int l, int every) {
  const size_t row = size_t(config.kv_heads(l)) * size_t(config.head_dim);
  if (config.is_lightning(l)) return row * size_t(config.head_dim);
  if (config.ring_window == 0) return 0;  // full attention keeps all its rows itself
  const size_t bytes = size_t(row_bytes(config.kv_cache, int(row)));
  return size_t(rows_of(config, every)) * 2 * bytes / sizeof(float);  // k, then v: a whole number
}

}  // namespace

size_t Checkpoints::bytes_for(const Config& config, int l, int context, int every) {
  return floats_of(config, l, every) * size_t(context / every) * sizeof(float);
}

Checkpoints::Checkpoints(const Config& config, const Placement& placement, int context, int every)
    : every_(every), rows_(rows_of(config, every)), placement_(placement) {
  for (int l = 0; l < config.num_hidden_layers; l++) {
    const size_t floats = floats_of(config, l, every);
    memory_.emplace_back(placement_.of(l), floats * size_t(context / every));
    snapshots_.push_back({memory_.back().data(), int64_t(floats), every});
  }
}

void Checkpoints::save_state(int layer, int position, const LinearState& state) {
  placement_.of(layer).save(snapshots_[size_t(layer)], state, position);
}

void Checkpoints::save_rows(int layer, int position, const KvCache& cache) {
  placement_.of(layer).save(snapshots_[size_t(layer)], cache, rows_, position);
}

void Checkpoints::load_state(int layer, int position, const LinearState& state) const {
  Backend& backend = placement_.of(layer);
  const Snapshots& from = snapshots_[size_t(layer)];
  const size_t bytes = size_t(from.floats) * sizeof(float);
  if (position == 0) {
    backend.clear(state.s, bytes);
  } else {
    backend.copy(state.s, from.memory + (position / every_ - 1) * from.floats, bytes);
  }
}

void Checkpoints::load_rows(int layer, int first, int position, const KvCache& cache) const {
  placement_.of(layer).load(snapshots_[size_t(layer)], cache, rows_, first, position);
}

}  // namespace ringside
