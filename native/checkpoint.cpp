#include "checkpoint.h"

#include <algorithm>
#include <cassert>

namespace ringside {

namespace {

int rows_of(const Config& config, int every) { return std::min(every, config.ring_reach()); }

// Of one checkpoint of layer `l`.
size_t floats_of(const Config& config, int l, int every) {
  const size_t row = size_t(config.kv_heads(l)) * size_t(config.head_dim);
  if (config.is_lightning(l)) return row * size_t(config.head_dim);
  if (config.ring_window == 0) return 0;            // full attention keeps all its rows itself
  return size_t(rows_of(config, every)) * row * 2;  // k, then v
}

}  // namespace

size_t Checkpoints::bytes_for(const Config& config, int context, int every) {
  size_t floats = 0;
  for (int l = 0; l < config.num_hidden_layers; l++) floats += floats_of(config, l, every);
  return floats * size_t(context / every) * sizeof(float);
}

Checkpoints::Checkpoints(const Config& config, int context, int every)
    : every_(every), rows_(rows_of(config, every)), count_(static_cast<size_t>(context / every)) {
  for (int l = 0; l < config.num_hidden_layers; l++) {
    const size_t floats = floats_of(config, l, every);
    offset_.push_back(size_);
    floats_.push_back(floats);
    size_ += floats * count_;
  }
  memory_ = std::make_unique_for_overwrite<float[]>(size_);
}

float* Checkpoints::at(int layer, int position) const {
  const size_t index = size_t(position / every_) - 1;
  assert(due(position) && index < count_);
  return memory_.get() + offset_[size_t(layer)] + index * floats_[size_t(layer)];
}

void Checkpoints::save_state(int layer, int position, const LinearState& state) {
  std::copy_n(state.s, floats_[size_t(layer)], at(layer, position));
}

void Checkpoints::load_state(int layer, int position, const LinearState& state) const {
  if (position == 0) {
    std::fill_n(state.s, floats_[size_t(layer)], 0.0f);
  } else {
    std::copy_n(at(layer, position), floats_[size_t(layer)], state.s);
  }
}

void Checkpoints::save_rows(int layer, int position, const KvCache& cache) {
  const size_t row = size_t(cache.n_kv_heads) * size_t(cache.head_dim);
  float* k = at(layer, position);
  float* v = k + size_t(rows_) * row;
  for (int i = 0; i < rows_; i++) {
    const auto slot = size_t((position - rows_ + i) % cache.slots);
    std::copy_n(cache.k + slot * row, row, k + size_t(i) * row);
    std::copy_n(cache.v + slot * row, row, v + size_t(i) * row);
  }
}

void Checkpoints::load_rows(int layer, int first, int position, const KvCache& cache) const {
  const size_t row = size_t(cache.n_kv_heads) * size_t(cache.head_dim);
  for (int p = first; p < position; p++) {
    const int checkpoint = after(p);
    const float* k = at(layer, checkpoint) + size_t(p - (checkpoint - rows_)) * row;
    const float* v = k + size_t(rows_) * row;
    const auto slot = size_t(p % cache.slots);
    std::copy_n(k, row, cache.k + slot * row);
    std::copy_n(v, row, cache.v + slot * row);
  }
}

}  // namespace ringside
