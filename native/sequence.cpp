#include "sequence.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <map>

namespace ringside {

namespace {

// A log of this many positions when the model has no rings to say how far back edits should be
// free.
constexpr int kLogSlots = 512;

}  // namespace

// How many positions the layers keep, and what each layer then takes: `state` and `log` in floats,
// `kv` and `layer` in bytes.
struct Sequence::Sizes {
  int slots, log_slots;

  Sizes(const Config& c, int capacity, int checkpoint_every)
      : slots(c.ring_window > 0 ? c.ring_slots : capacity),
        log_slots(std::max(c.ring_window > 0 ? c.ring_slots : kLogSlots, 2 * checkpoint_every)) {}

  static size_t row(const Config& c, int l) { return size_t(c.kv_heads(l)) * size_t(c.head_dim); }
  size_t state(const Config& c, int l) const { return row(c, l) * size_t(c.head_dim); }
  size_t log(const Config& c, int l) const { return size_t(log_slots) * row(c, l); }
  size_t kv(const Config& c, int l) const {
    const size_t rows = size_t(slots) + size_t(c.ring_window > 0 ? c.ring_sinks : 0);
    return rows * size_t(row_bytes(c.kv_cache, int(row(c, l))));
  }
  size_t layer(const Config& c, int l) const {
    const size_t bytes =
        c.is_lightning(l) ? 2 * (state(c, l) + log(c, l)) * sizeof(float) : 2 * kv(c, l);
    return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;  // layers share it
  }
};

size_t Sequence::bytes_for(const Config& config, int l, int capacity, int checkpoint_every) {
  return Sizes(config, capacity, checkpoint_every).layer(config, l) +
         Checkpoints::bytes_for(config, l, capacity, checkpoint_every);
}

namespace {

uint64_t next_number() {
  static std::atomic<uint64_t> number = 0;
  return ++number;
}

}  // namespace

Sequence::Sequence(const Config& config, const Placement& placement, int capacity,
                   int checkpoint_every)
    : placement_(placement),
      number_(next_number()),
      capacity_(static_cast<size_t>(capacity)),
      slots_(Sizes(config, capacity, checkpoint_every).slots),
      reach_(config.ring_window > 0 ? config.ring_reach() : 0),
      log_slots_(Sizes(config, capacity, checkpoint_every).log_slots),
      checkpoints_(config, placement, capacity, checkpoint_every) {
  tokens_.reserve(capacity_);
  allocate(config, Sizes(config, capacity, checkpoint_every));
}

// A device's recorded steps lead into this memory.
Sequence::~Sequence() {
  if (placement_.device != nullptr) placement_.device->forget_repeated();
}

void Sequence::allocate(const Config& config, const Sizes& sizes) {
  const bool ring = config.ring_window > 0;
  layers_.resize(size_t(config.num_hidden_layers));
  // One piece a backend: large ones get large pages, which decoding gains from.
  std::map<Backend*, size_t> bytes;
  for (int l = 0; l < config.num_hidden_layers; l++) {
    bytes[&placement_.of(l)] += sizes.layer(config, l);
  }
  std::map<Backend*, std::byte*> next;
  for (const auto& [backend, count] : bytes) {
    next[backend] = memory_.emplace_back(*backend, count).data();
  }
  for (int l = 0; l < config.num_hidden_layers; l++) {
    Layer& layer = layers_[size_t(l)];
    layer.lightning = config.is_lightning(l);
    std::byte* memory = next[&placement_.of(l)];
    next[&placement_.of(l)] += sizes.layer(config, l);
    if (layer.lightning) {
      allocate_lightning(config, sizes, l, reinterpret_cast<float*>(memory));
      has_lightning_ = true;
      continue;
    }
    layer.kv.k = memory;
    layer.kv.v = memory + sizes.kv(config, l);
    layer.kv.slots = slots_;
    layer.kv.sinks = ring ? config.ring_sinks : 0;
    layer.kv.window = config.window();
    layer.kv.max_hop = ring ? config.ring_max_hop : 0;
    layer.kv.n_kv_heads = config.num_key_value_heads;
    layer.kv.head_dim = config.head_dim;
    layer.kv.type = config.kv_cache;
    has_rings_ = has_rings_ || ring;
  }
  rebuild_states(0, 0);
}

void Sequence::allocate_lightning(const Config& config, const Sizes& sizes, int l, float* memory) {
  Layer& layer = layers_[size_t(l)];
  Backend& backend = placement_.of(l);
  const std::vector<float> decays = decay(config, l);
  layer.decay = Buffer<float>(backend, decays.size());
  backend.upload(layer.decay.data(), decays.data(), decays.size() * sizeof(float));
  layer.state = {memory, layer.decay.data(), config.num_attention_heads, config.head_dim};
  layer.marked = memory + sizes.state(config, l);
  float* log = layer.marked + sizes.state(config, l);
  layer.log.k = log;
  layer.log.v = log + sizes.log(config, l);
  layer.log.slots = log_slots_;
  layer.log.n_kv_heads = config.num_attention_heads;
  layer.log.head_dim = config.head_dim;
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

void Sequence::forget() noexcept {
  tokens_.clear();
  mark_ = -1;
  ring_begin_ = log_begin_ = 0;
  forgotten_ = true;
}

size_t Sequence::truncate(size_t size) {
  if (forgotten_) rebuild_states(0, 0);
  forgotten_ = false;
  if (size >= tokens_.size()) return tokens_.size();
  const int target = static_cast<int>(size);
  if (reaches(target)) {
    rebuild_states(base_of(target), target);
    tokens_.resize(size);
  } else {
    const int checkpoint = checkpoints_.before(target);
    go_back_to_checkpoint(checkpoint);
    tokens_.resize(size_t(checkpoint));
  }
  if (mark_ > int(tokens_.size())) mark_ = -1;
  log_begin_ = std::min(log_begin_, int(tokens_.size()));
  ring_begin_ = std::min(ring_begin_, int(tokens_.size()));
  return tokens_.size();
}

void Sequence::mark() {
  mark_ = int(tokens_.size());
  for (size_t l = 0; l < layers_.size(); l++) {
    if (!layers_[l].lightning) continue;
    placement_.of(int(l)).copy(layers_[l].marked, layers_[l].state.s, layers_[l].state_bytes());
  }
}

int Sequence::base_of(int size) const {
  const int checkpoint = checkpoints_.before(size);
  return mark_ <= size ? std::max(mark_, checkpoint) : checkpoint;
}

// Whether rings still hold all that positions from `size` on look at, and the log all since the
// states that are kept.
bool Sequence::reaches(int size) const {
  if (has_rings_ && ring_begin_ > std::max(0, size - reach_)) return false;
  const int base = base_of(size);
  return !has_lightning_ || size == base || log_begin_ <= base;
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

// S at `to` = the one kept at `from`, and the log between, with decay.
void Sequence::rebuild_states(int from, int to) {
  for (size_t l = 0; l < layers_.size(); l++) {
    const Layer& layer = layers_[l];
    if (!layer.lightning) continue;
    if (from == mark_) {
      placement_.of(int(l)).copy(layer.state.s, layer.marked, layer.state_bytes());
    } else {
      checkpoints_.load_state(int(l), from, layer.state);
    }
    const int stride = layer.state.n_heads * layer.state.head_dim;
    for (int p = from; p < to;) {
      const int row = p % log_slots_;
      const int n = std::min(to - p, log_slots_ - row);
      const size_t offset = size_t(row) * size_t(stride);
      const float* k = static_cast<const float*>(layer.log.k) + offset;
      const float* v = static_cast<const float*>(layer.log.v) + offset;
      placement_.of(int(l)).advance(k, v, layer.state, n, stride);
      p += n;
    }
  }
}

void Sequence::save_rows(int layer, int position, int n) {
  if (!has_rings_) return;
  // One token's steps are recorded, so whether a checkpoint is due is not asked here.
  if (n == 1) return checkpoints_.save_rows(layer, position + 1, kv(layer));
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
