// What the GPU's library exports: see kernels/gpu_library.h.
#include "../gpu_library.h"
#include "cuda_backend.h"

#if defined(_WIN32)
#define RINGSIDE_EXPORT __declspec(dllexport)
#else
#define RINGSIDE_EXPORT __attribute__((visibility("default")))
#endif

namespace ringside {

namespace {

constexpr int kLeastCapability = 75;  // dp4a and ldmatrix: Turing

// A device that can't be used hides no other one.
Gpu probe_one(int index) {
  Gpu gpu;
  gpu.index = index;
  gpu.name = "GPU " + std::to_string(index);  // until the driver says
  gpu.capability = "unknown";
  try {
    const DeviceInfo info = describe_device(index);
    gpu.name = info.name;
    gpu.capability =
        std::to_string(info.capability / 10) + "." + std::to_string(info.capability % 10);
    gpu.total_bytes = info.total_bytes;
    if (info.capability < kLeastCapability) {
      gpu.problem = "It has compute capability " + gpu.capability + ", and 7.5 is needed.";
    }
    gpu.free_bytes = free_bytes_of(index);
  } catch (const DeviceError& error) {
    if (!gpu.problem.empty()) return gpu;
    gpu.problem = std::string("It can't be used now. ") + error.what() +
                  " If another program has it for itself (its compute mode is exclusive), end that "
                  "program or choose the mode Default, then restart the server.";
  }
  return gpu;
}

GpuReport probe() {
  GpuReport report;
  report.runtime_version = runtime_version();
  report.driver_version = driver_version();
  try {
    const int count = count_devices();
    for (int i = 0; i < count; i++) report.gpus.push_back(probe_one(i));
  } catch (const DeviceError& error) {
    report.problem = error.what();
  }
  return report;
}

Backend* open(int index) { return new cuda::Cuda(index); }

}  // namespace

extern "C" RINGSIDE_EXPORT const GpuLibrary* ringside_gpu_library() {
  static const GpuLibrary library = {RINGSIDE_INTERFACE_HASH, probe, open};
  return &library;
}

}  // namespace ringside
