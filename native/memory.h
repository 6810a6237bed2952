// How much memory a model may take, and what gives way when that is less than it would like.
#pragma once

#include <cstddef>
#include <string>

#include "backend.h"
#include "config.h"
#include "mapping.h"

namespace ringside {

constexpr size_t kLogitRows = 4;  // that are made at once: the CPU's tile of activations

// Bytes of the weights, by how they are used.
struct WeightBytes {
  size_t fixed = 0;         // read for every token
  size_t routed = 0;        // of all experts that are chosen among
  size_t layer_routed = 0;  // of those in the largest layer
};

struct MemoryPlan {
  int context_tokens = 0;
  int max_batch = 0;
  int checkpoint_every = 0;  // positions
  size_t budget = 0;         // bytes; 0: no limit
  size_t weights = 0;        // bytes that stay resident
  size_t expert_cache = 0;   // bytes of routed experts that may be resident at once; 0: all
  size_t sequence = 0;       // bytes
  size_t scratch = 0;        // bytes
  std::string explanation;   // a sentence for the log: what was chosen, and why
};

// `budget` bytes for everything, 0 for no limit; `context_tokens` and `max_batch` are the most that
// is of use. What gives way, in this order: routed experts are paged in, batches get smaller and
// checkpoints rarer, the context gets shorter. Throws EngineError OUT_OF_MEMORY, naming the least
// that would do; without a limit, where there is less memory than the context takes: `there` bytes.
// Only the first `layers` layers are counted, which `host` runs: null for none; the others are a
// device's.
MemoryPlan plan_memory(const Config& config, const WeightBytes& bytes, size_t budget,
                       int context_tokens, int max_batch, const Backend* host,
                       int layers = kMaxLayers, size_t there = physical_memory());

// Of one token's activations, in floats.
struct RowSizes {
  explicit RowSizes(const Config& config);

  int hidden, attention, ffn;
  int gate;     // of lightning attention, or of a feed-forward
  int qkv = 0;  // all q heads, all k heads, all v heads
};

// What passes of `batch` tokens ask of a backend.
Limits limits_of(const Config& config, int batch, int context_tokens);

// Activations of one batch: the model's own, and what `backend` takes for them.
size_t scratch_bytes(const Config& config, const Backend& backend, int batch, int context_tokens);

// Such as "340 MB" or "1.20 GB".
std::string size_text(size_t bytes);

}  // namespace ringside
