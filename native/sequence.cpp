#include "sequence.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace ringside {

namespace {

// A log of this many positions when the model has no rings to say how far back edits should be
// free.
constexpr int kLogSlots = 512;

}  // namespace

// How many positions the layers keep, and how many floats each layer then takes.
struct Sequence::Sizes {
  int slots, log_slots;

  Sizes(const Config& c, int capacity, int checkpoint_every)
      : slots(c.ring_window > 0 ? c.ring_slots : capacity),
        log_slots(std::max(c.ring_window > 0 ? c.ring_slots : kLogSlots, 2 * checkpoint_every)) {}

  static size_t row(const Config& c, int l) { return size_t(c.kv_heads(l)) * size_t(c.head_dim); }
  size_t state(const Config& c, int l) const { return row(c, l) * size_t(c.head_dim); }
  size_t log(const Config& c, int l) const { return size_t(log_slots) * row(c, l); }
  size_t kv(const Config& c, int l) const {
    return (size_t(slots) + size_t(c.ring_window > 0 ? c.ring_sinks : 0)) * row(c, l);
  }
  size_t layer(const Config& c, int l) const {
    return c.is_lightning(l) ? state(c, l) + 2 * log(c, l) : 2 * kv(c, l);
  }
};

size_t Sequence::bytes_for(const Config& config, int capacity, int checkpoint_every) {
  const Sizes sizes(config, capacity, checkpoint_every);
  size_t floats = 0;
  for (int l = 0; l < config.num_hidden_layers; l++) floats += sizes.layer(config, l);
  return floats * sizeof(float) + Checkpoints::bytes_for(config, capacity, checkpoint_every);
}

Sequence::Sequence(const Config& config, Backend& backend, int capacity, int checkpoint_every)
    : backend_(backend),
      capacity_(static_cast<size_t>(capacity)),
      slots_(Sizes(config, capacity, checkpoint_every).slots),
      reach_(config.ring_window > 0 ? config.ring_reach() : 0),
      log_slots_(Sizes(config, capacity, checkpoint_every).log_slots),
      checkpoints_(config, capacity, checkpoint_every) {
  tokens_.reserve(capacity_);
  allocate(config, Sizes(config, capacity, checkpoint_every));
}

void Sequence::allocate(const Config& config, const Sizes& sizes) {
  size_t floats = 0;
  for (int l = 0; l < config.num_hidden_layers; l++) floats += sizes.layer(config, l);
  memory_ = std::make_unique_for_overwrite<float[]>(floats);
  float* next = memory_.get();
  const auto take = [&](size_t size) { return std::exchange(next, next + size); };

  const bool ring = config.ring_window > 0;
  layers_.resize(size_t(config.num_hidden_layers));
  for (int l = 0; l < config.num_hidden_layers; l++) {
    Layer& layer = layers_[size_t(l)];
    layer.lightning = config.is_lightning(l);
    if (layer.lightning) {
      layer.decay = decay(config, l);
      layer.state = {take(sizes.state(config, l)), layer.decay.data(), config.num_attention_heads,
                     config.head_dim};
      layer.log_k = take(sizes.log(config, l));
      layer.log_v = take(sizes.log(config, l));
      has_lightning_ = true;
    } else {
      layer.kv.k = take(sizes.kv(config, l));
      layer.kv.v = take(sizes.kv(config, l));
      layer.kv.slots = slots_;
      layer.kv.sinks = ring ? config.ring_sinks : 0;
      layer.kv.window = config.window();
      layer.kv.max_hop = ring ? config.ring_max_hop : 0;
      layer.kv.n_kv_heads = config.num_key_value_heads;
      layer.kv.head_dim = config.head_dim;
      has_rings_ = has_rings_ || ring;
    }
  }
  rebuild_states(0, 0);
}

size_t Sequence::common_prefix(std::span<const Token> prompt, const Syntax& syntax) const {
  // A position agrees only if it took the same features: none, or the same set.
  size_t limit = std::min(tokens_.size(), prompt.size());
  const auto begin = [&](const Syntax& s) {
    return s.features.empty() ? limit : std::min(limit, size_t(s.from));
  };
  const bool same = syntax.features == syntax_.features && begin(syntax) == begin(syntax_);
  if (!same) limit = std::min(begin(syntax), begin(syntax_));
  const auto end =
      std::mismatch(prompt.begin(), prompt.begin() + ptrdiff_t(limit), tokens_.begin());
  return size_t(end.first - prompt.begin());
}

void Sequence::set_syntax(const Syntax& syntax) {
  assert(common_prefix(tokens_, syntax) == tokens_.size());
  syntax_ = syntax;
}

size_t Sequence::truncate(size_t size) {
  if (size >= tokens_.size()) return tokens_.size();
  const int target = static_cast<int>(size);
  const int checkpoint = checkpoints_.before(target);
  if (reaches(target)) {
    rebuild_states(checkpoint, target);
    tokens_.resize(size);
  } else {
    go_back_to_checkpoint(checkpoint);
    tokens_.resize(size_t(checkpoint));
  }
  log_begin_ = std::min(log_begin_, int(tokens_.size()));
  ring_begin_ = std::min(ring_begin_, int(tokens_.size()));
  return tokens_.size();
}

// Whether rings still hold all that positions from `size` on look at, and the log all since the
// checkpoint before.
bool Sequence::reaches(int size) const {
  if (has_rings_ && ring_begin_ > std::max(0, size - reach_)) return false;
  return !has_lightning_ || size == checkpoints_.before(size) ||
         log_begin_ <= checkpoints_.before(size);
}

void Sequence::go_back_to_checkpoint(int position) {
  const int first = std::max(0, position - reach_);
  if (has_rings_ && ring_begin_ > first) {
    for (size_t l = 0; l < layers_.size(); l++) {
      if (layers_[l].lightning) continue;
      checkpoints_.load_rows(int(l), first, position, layers_[l].kv);
    }
    ring_begin_ = first;
  }
  rebuild_states(position, position);
}

// S at `to` = the checkpoint's at `from`, and the log between, with decay.
void Sequence::rebuild_states(int from, int to) {
  for (size_t l = 0; l < layers_.size(); l++) {
    const Layer& layer = layers_[l];
    if (!layer.lightning) continue;
    checkpoints_.load_state(int(l), from, layer.state);
    const int stride = layer.state.n_heads * layer.state.head_dim;
    for (int p = from; p < to;) {
      const int row = p % log_slots_;
      const int n = std::min(to - p, log_slots_ - row);
      const size_t offset = size_t(row) * size_t(stride);
      backend_.advance(layer.log_k + offset, layer.log_v + offset, layer.state, n, stride);
      p += n;
    }
  }
}

void Sequence::log(int index, const float* k, const float* v, int n, int stride) {
  const Layer& layer = layers_[size_t(index)];
  const int position = int(tokens_.size());
  const auto dim = size_t(layer.state.n_heads) * size_t(layer.state.head_dim);
  for (int i = std::max(0, n - log_slots_); i < n; i++) {
    const size_t row = size_t((position + i) % log_slots_) * dim;
    std::copy_n(k + size_t(i) * size_t(stride), dim, layer.log_k + row);
    std::copy_n(v + size_t(i) * size_t(stride), dim, layer.log_v + row);
  }
}

void Sequence::save_state(int layer, int position) {
  if (checkpoints_.due(position)) checkpoints_.save_state(layer, position, state(layer));
}

void Sequence::save_rows(int layer, int position, int n) {
  if (!has_rings_) return;
  for (int c = checkpoints_.after(position); c <= position + n; c = checkpoints_.after(c)) {
    checkpoints_.save_rows(layer, c, kv(layer));
  }
}

void Sequence::append(std::span<const Token> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  ring_begin_ = std::max(ring_begin_, int(tokens_.size()) - slots_);
  log_begin_ = std::max(log_begin_, int(tokens_.size()) - log_slots_);
}

}  // namespace ringside
