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

GpuReport probe() {
  GpuReport report;
  report.runtime_version = runtime_version();
  report.driver_version = driver_version();
  try {
    for (const DeviceInfo& info : list_devices()) {
      Gpu& gpu = report.gpus.emplace_back();
      gpu.index = int(report.gpus.size()) - 1;
      gpu.name = info.name;
      gpu.capability =
          std::to_string(info.capability / 10) + "." + std::to_string(info.capability % 10);
      gpu.total_bytes = info.total_bytes;
      gpu.free_bytes = info.free_bytes;
      if (info.capability < kLeastCapability) {
        gpu.problem = "It has compute capability " + gpu.capability + ", and 7.5 is needed.";
      }
    }
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
