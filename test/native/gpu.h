// The emulated GPU, through the library's file as a real one would be. Its tests need
// build/cuda-emulated (test/kernels/cuda), or RINGSIDE_GPU_LIBRARY in the environment: then a real
// one can be tested as well.
#pragma once

#include <memory>

#include "backend.h"
#include "placement.h"

namespace ringside {

// A backend of the host, and a GPU's where the name is "cuda".
struct TestedBackends {
  explicit TestedBackends(const std::string& name);
  Backends both() const { return {*host, device.get()}; }

  std::unique_ptr<Backend> host, device;
};

// Names the emulated library, unless the environment names another one.
void name_gpu_library();

// available_backends(), and "cuda" where there is one.
std::vector<std::string> tested_backends();

// Whether there is a GPU, emulated or real: not where the tests run on another platform.
bool has_gpu();

// What can be done to an emulated GPU; nothing where the library is a real one's. See
// kernels/cuda/device_emulated.h.
void limit_gpu_memory(size_t bytes);
void lose_gpu_after(int waits);
void fail_gpu_allocation_after(int allocations);
void add_busy_gpu(bool add);
bool gpu_is_emulated();

}  // namespace ringside
