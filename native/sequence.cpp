#include "sequence.h"

#include <algorithm>
#include <cassert>

namespace ringside {

namespace {

// A log of this many positions when the model has no rings to say how far back edits should be
// free.
constexpr int kLogSlots = 512;

}  // namespace

Sequence::Sequence(const Config& config, Backend& backend, int capacity)
    : backend_(backend),
      capacity_(static_cast<size_t>(capacity)),
      slots_(config.ring_window > 0 ? config.ring_slots : capacity),
      reach_(config.ring_window > 0 ? config.ring_reach() : 0),
      log_slots_(config.ring_window > 0 ? config.ring_slots : kLogSlots),
      checkpoints_(config, capacity) {
  tokens_.reserve(capacity_);
  allocate(config);
}

void Sequence::allocate(const Config& config) {
  const auto head_dim = static_cast<size_t>(config.head_dim);
  std::vector<float**> parts;
  std::vector<size_t> offsets;
  const auto take = [&](float*& part, size_t floats) {
    parts.push_back(&part);
    offsets.push_back(size_);
    size_ += floats;
  };

  layers_.resize(size_t(config.num_hidden_layers));
  for (int l = 0; l < config.num_hidden_layers; l++) {
    Layer& layer = layers_[size_t(l)];
    const size_t row = size_t(config.kv_heads(l)) * head_dim;
    layer.lightning = config.is_lightning(l);
    if (layer.lightning) {
      layer.decay = decay(config, l);
      layer.state = {nullptr, layer.decay.data(), config.num_attention_heads, config.head_dim};
      take(layer.state.s, row * head_dim);
      take(layer.log_k, size_t(log_slots_) * row);
      take(layer.log_v, size_t(log_slots_) * row);
      has_lightning_ = true;
    } else {
      const bool ring = config.ring_window > 0;
      layer.kv = {nullptr,
                  nullptr,
                  slots_,
                  ring ? config.ring_sinks : 0,
                  config.ring_window,
                  ring ? config.ring_max_hop : 0,
                  config.num_key_value_heads,
                  config.head_dim};
      const size_t rows = size_t(slots_) + size_t(layer.kv.sinks);
      take(layer.kv.k, rows * row);
      take(layer.kv.v, rows * row);
      has_rings_ = has_rings_ || ring;
    }
  }
  memory_ = std::make_unique_for_overwrite<float[]>(size_);
  for (size_t i = 0; i < parts.size(); i++) *parts[i] = memory_.get() + offsets[i];
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
  const int checkpoint = Checkpoints::before(target);
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
  return !has_lightning_ || size == Checkpoints::before(size) ||
         log_begin_ <= Checkpoints::before(size);
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
  if (position % Checkpoints::kEvery == 0) checkpoints_.save_state(layer, position, state(layer));
}

void Sequence::save_rows(int layer, int position, int n) {
  if (!has_rings_) return;
  for (int c = Checkpoints::after(position); c <= position + n; c += Checkpoints::kEvery) {
    checkpoints_.save_rows(layer, c, kv(layer));
  }
}

void Sequence::append(std::span<const Token> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  ring_begin_ = std::max(ring_begin_, int(tokens_.size()) - slots_);
  log_begin_ = std::max(log_begin_, int(tokens_.size()) - log_slots_);
}

}  // namespace ringside
