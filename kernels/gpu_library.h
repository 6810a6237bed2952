// The CUDA backend, a library of its own that is opened when a GPU is asked for: what else there is
// needs no driver and no CUDA. RINGSIDE_GPU_LIBRARY in the environment names another file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend.h"

namespace ringside {

struct Gpu {
  int index = 0;
  std::string name;
  std::string capability;  // such as "8.9"
  size_t total_bytes = 0;
  size_t free_bytes = 0;
  std::string problem;  // why it can't be used; "": it can
};

struct GpuReport {
  std::string library;                          // its file; "": there is none
  std::string runtime_version, driver_version;  // such as "13.0"; "": not known
  std::vector<Gpu> gpus;
  std::string problem;  // why there is none; "": there is one
};

// The file that probe_gpus() and open_gpu() would open; "": it is not there.
std::string gpu_library_file();

// Asks the driver, and a broken driver can end or hang the process that does. Never throws.
GpuReport probe_gpus();

// The backend of the GPU with that index. Throws DeviceError.
std::unique_ptr<Backend> open_gpu(int index);

// What the library exports as "ringside_gpu_library". It and its caller must have been built from
// the same interface.
struct GpuLibrary {
  const char* interface_hash;   // of this file, and of what it includes and throws
  GpuReport (*probe)();         // may throw DeviceError
  Backend* (*open)(int index);  // may throw DeviceError
};
using GpuLibraryEntry = const GpuLibrary* (*)();

}  // namespace ringside
