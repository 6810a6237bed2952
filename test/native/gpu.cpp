#include "gpu.h"

#include <dlfcn.h>

#include <cstdlib>

#include "gpu_library.h"

namespace ringside {

void name_gpu_library() { setenv("RINGSIDE_GPU_LIBRARY", RINGSIDE_EMULATED_GPU, 0); }

namespace {

// Calls a function that only the emulated library has.
template <typename Value>
bool call(const char* name, Value value) {
  name_gpu_library();
  void* library = dlopen(std::getenv("RINGSIDE_GPU_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
  void* function = library != nullptr ? dlsym(library, name) : nullptr;
  if (function == nullptr) return false;
  reinterpret_cast<void (*)(Value)>(function)(value);
  return true;
}

}  // namespace

TestedBackends::TestedBackends(const std::string& name)
    : host(make_backend(name == "cuda" ? "reference" : name, 1)) {
  if (name != "cuda") return;
  name_gpu_library();
  device = open_gpu(0);
}

std::vector<std::string> tested_backends() {
  // Where time on the GPU is short, the processor's are tested elsewhere.
  const char* only = std::getenv("RINGSIDE_TEST_GPU_ALONE");
  std::vector<std::string> names =
      only == nullptr ? available_backends() : std::vector<std::string>();
  names.insert(names.begin(), "cuda");
  return names;
}

bool has_gpu() { return true; }

void limit_gpu_memory(size_t bytes) { call("ringside_emulator_limit_memory", bytes); }
void lose_gpu_after(int waits) { call("ringside_emulator_lose_device", waits); }
void fail_gpu_allocation_after(int allocations) {
  call("ringside_emulator_fail_allocation", allocations);
}
void add_busy_gpu(bool add) { call("ringside_emulator_add_busy_device", add); }
bool gpu_is_emulated() { return call("ringside_emulator_lose_device", -1); }

}  // namespace ringside
