// Which layers run where: the last ones on a device as far as its memory goes, the others on the
// host's processor.
#pragma once

#include <cstddef>
#include <string>

#include "backend.h"
#include "config.h"
#include "weights.h"

namespace ringside {

// What a model may run on.
struct Backends {
  Backends(Backend& host) : host(host) {}  // NOLINT: a host alone is the usual case
  Backends(Backend& host, Backend* device, size_t device_bytes = 0)
      : host(host), device(device), device_bytes(device_bytes) {}

  Backend& host;
  Backend* device = nullptr;  // null: the host runs all
  size_t device_bytes = 0;    // of the device's memory, at most so many; 0: what is free
  bool wants_device = false;  // one was asked for; where `device` is null, it had no memory
};

struct Placement {
  Placement(Backend& backend) : host(&backend) {}  // NOLINT: all on one

  Backend& of(int layer) const { return layer < first_on_device ? *host : *device; }
  // Where the head and the sampling are.
  Backend& last() const { return device != nullptr ? *device : *host; }
  // Where the tokens are embedded.
  Backend& first() const { return embeds_on_device ? *device : *host; }

  Backend* host;
  Backend* device = nullptr;  // null: nothing runs on one
  int first_on_device = 1 << 30;
  bool embeds_on_device = false;
  size_t device_bytes = 0;  // that the model and one sequence take there
  std::string explanation = "All layers run on the CPU.";  // for the log: what was chosen, and why
};

// The layers from the last on that fit the device's memory as it is now, less a reserve, with the
// head and with what `max_batch` and a sequence of `context` tokens take. Nothing is allocated.
Placement place_layers(const Config& config, const Weights& weights, const Backends& backends,
                       int context, int max_batch, int checkpoint_every);

// Puts a layer's weights where its operations take them. Throws as Backend::allocate does.
void place_layer(const Config& config, Layer& layer, Backend& backend);

}  // namespace ringside
