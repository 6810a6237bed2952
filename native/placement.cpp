#include "placement.h"

#include <algorithm>

#include "memory.h"
#include "sequence.h"

namespace ringside {

namespace {

// Of the device's free memory, what stays free: other programs' windows, and what a driver takes
// for itself as kernels are loaded (a guess: not measured on a GPU yet).
constexpr size_t kReserve = 256u << 20;

constexpr const char* kNoMemory =
    "The GPU has too little memory free, so all layers run on the CPU. Close what else uses it.";

size_t placed_bytes(const FeedForward& ffn, const Backend& backend) {
  return backend.placed_bytes(ffn.gate) + backend.placed_bytes(ffn.up) +
         backend.placed_bytes(ffn.down);
}

size_t placed_bytes(const Config& c, const Layer& layer, const Backend& backend) {
  size_t bytes = backend.placed_bytes(layer.dense) + backend.placed_bytes(layer.gate) +
                 placed_bytes(layer.ffn, backend);
  for (const Matrix& part : layer.qkv) bytes += backend.placed_bytes(part);
  for (const FeedForward& expert : layer.experts) {
    bytes += placed_bytes(expert, backend) + sizeof(FeedForward);
  }
  const Router& router = layer.router;
  const size_t vectors = 4 * size_t(c.hidden_size) + size_t(c.attention_dim()) +
                         2 * size_t(c.head_dim) + size_t(c.rotary_dim) +
                         size_t(router.n_experts) * size_t(router.dim + router.n_features + 1);
  return bytes + vectors * sizeof(float);
}

std::string explain(const Placement& placement, int layers, size_t may, size_t all) {
  const int there = placement.device == nullptr ? 0 : layers - placement.first_on_device;
  std::string text = std::to_string(there) + " of " + std::to_string(layers) +
                     " layers run on the GPU: they take " + size_text(placement.device_bytes) +
                     " of the " + size_text(may) + " that it may give";
  if (there == layers && placement.embeds_on_device) return text + ".";
  return text + ", and all of the model would take " + size_text(all) +
         ". For more, close what else uses the GPU, or choose a smaller model, fewer bits or fewer "
         "contextTokens.";
}

}  // namespace

Placement place_layers(const Config& config, const Weights& weights, const Backends& backends,
                       int context, int max_batch, int checkpoint_every) {
  Placement placement(backends.host);
  if (backends.device == nullptr) {
    if (backends.wants_device) placement.explanation = kNoMemory;
    return placement;
  }
  const Backend& device = *backends.device;
  const int layers = config.num_hidden_layers;
  const size_t free = device.free_bytes();
  size_t may = free > kReserve ? free - kReserve : 0;
  if (backends.device_bytes > 0) may = std::min(may, backends.device_bytes);

  const size_t head = device.placed_bytes(weights.head);
  const bool tied = weights.embedding.data == weights.head.data;
  size_t used = head + scratch_bytes(config, device, max_batch, context), all = used;
  bool fits = used <= may;
  int first = layers;
  for (int l = layers - 1; l >= 0; l--) {
    const size_t bytes = placed_bytes(config, weights.layers[size_t(l)], device) +
                         Sequence::bytes_for(config, l, context, checkpoint_every);
    all += bytes;
    fits = fits && used + bytes <= may;
    if (!fits) continue;
    used += bytes;
    first = l;
  }
  const size_t embedding = tied ? 0 : device.placed_bytes(weights.embedding);
  all += embedding;
  if (first < layers) {
    placement.device = backends.device;
    placement.first_on_device = first;
    placement.embeds_on_device = first == 0 && used + embedding <= may;
    placement.device_bytes = used + (placement.embeds_on_device ? embedding : 0);
  }
  placement.explanation = explain(placement, layers, may, all);
  return placement;
}

namespace {

void place_norm(const Config& c, Norm& norm, Backend& backend) {
  const auto size = size_t(c.hidden_size);
  norm.weight = backend.place(norm.weight, size);
  if (norm.bias != nullptr) norm.bias = backend.place(norm.bias, size);
}

void place_ffn(FeedForward& ffn, Backend& backend) {
  if (ffn.gate.data != nullptr) ffn.gate = backend.place(ffn.gate);
  if (ffn.up.data != nullptr) ffn.up = backend.place(ffn.up);
  if (ffn.down.data != nullptr) ffn.down = backend.place(ffn.down);
}

}  // namespace

void place_layer(const Config& c, Layer& layer, Backend& backend) {
  const auto vector = [&](const float*& values, int size) {
    if (values != nullptr) values = backend.place(values, size_t(size));
  };
  place_norm(c, layer.input_norm, backend);
  place_norm(c, layer.post_norm, backend);
  for (Matrix& part : layer.qkv) part = backend.place(part);
  vector(layer.q_norm, c.head_dim);
  vector(layer.k_norm, c.head_dim);
  layer.dense = backend.place(layer.dense);
  if (layer.gate.data != nullptr) layer.gate = backend.place(layer.gate);
  vector(layer.gate_norm, c.attention_dim());
  place_ffn(layer.ffn, backend);
  Router& router = layer.router;
  vector(router.w, router.n_experts * router.dim);
  vector(router.bias, router.n_experts);
  vector(router.syntax, router.n_experts * router.n_features);
  for (FeedForward& expert : layer.experts) place_ffn(expert, backend);
  layer.expert_set = backend.place(layer.experts);
}

}  // namespace ringside
