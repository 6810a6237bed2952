// Where kernels are sent: a stream of a device, and what the device can do.
#pragma once

#include <stdint.h>

#include <functional>
#include <string>
#include <vector>

#if defined(RINGSIDE_EMULATED)
#include "emulator.h"
#elif defined(__HIP__)
#include <hip/hip_runtime.h>
#else
#include <cuda_runtime.h>
#endif

#include "../device_error.h"

namespace ringside {

// Blocks (x, y, z), threads a block (x), and bytes of dynamic shared memory.
struct Grid {
  int64_t x = 1, y = 1, z = 1;
  int threads = 32;
  size_t shared = 0;
};

// What kernels choose by: instructions, where the device has them, and for tests its size.
class Precision {
 public:
  void set_mma(bool mma) { mma_ = mma; }
  // Work is split as if the device had so many processors: for tests of what only large work gets.
  void pretend_processors(int processors) { pretended_ = processors; }
  // Whether floats meet on tensor cores as high and low parts, in three products, and so keep
  // nearly all of their precision; else they are rounded to TF32.
  bool split_tf32() const { return split_tf32_; }
  void set_split_tf32(bool split) { split_tf32_ = split; }

 protected:
  bool mma_ = true;
  int pretended_ = 0;

 private:
  bool split_tf32_ = true;
};

#if defined(RINGSIDE_EMULATED)

// Runs kernels at once, or, while it records, keeps them for Graph::replay.
class Queue : public Precision {
 public:
  bool has_mma() const { return mma_; }
  // A small device, so that work is split in few parts.
  int processors() const { return pretended_ > 0 ? pretended_ : 4; }
  std::vector<std::function<void()>>* recording = nullptr;
};

// The arguments must have the parameters' types after conversion.
template <typename... Parameters, typename... Arguments>
void launch(const Queue& queue, const char* name, void (*kernel)(Parameters...), const Grid& grid,
            Arguments... arguments) {
  auto run = [=] {
    emulator::run(name, grid.x, grid.y, grid.z, grid.threads, grid.shared,
                  [=] { kernel(static_cast<Parameters>(arguments)...); });
  };
  if (queue.recording != nullptr) {
    queue.recording->push_back(run);
  } else {
    run();
  }
}

#else

#if defined(__HIP__)
using StreamHandle = hipStream_t;
#else
using StreamHandle = cudaStream_t;
#endif

class Queue : public Precision {
 public:
  Queue(StreamHandle stream, int device, int capability, int processors)
      : stream_(stream), device_(device), capability_(capability), processors_(processors) {}

  StreamHandle stream() const { return stream_; }
  int device() const { return device_; }
  bool has_mma() const { return mma_ && capability_ >= 80; }
  int processors() const { return pretended_ > 0 ? pretended_ : processors_; }

 private:
  StreamHandle stream_;
  int device_;
  int capability_;  // 10 major + minor
  int processors_;
};

// Throws DeviceError if the kernel can't be launched. What it does wrong while it runs is heard at
// the next synchronization.
template <typename... Parameters, typename... Arguments>
void launch(const Queue& queue, const char* name, void (*kernel)(Parameters...), const Grid& grid,
            Arguments... arguments) {
  const dim3 blocks(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z));
  // A stream takes kernels while its device is the thread's current one, and engines change
  // threads.
#if defined(__HIP__)
  static_cast<void>(hipSetDevice(queue.device()));
  hipLaunchKernelGGL(kernel, blocks, dim3(unsigned(grid.threads)), grid.shared, queue.stream(),
                     static_cast<Parameters>(arguments)...);
  const hipError_t error = hipGetLastError();
  if (error != hipSuccess)
    throw DeviceError(std::string(name) + ": " + hipGetErrorString(error) + ".");
#else
  cudaSetDevice(queue.device());
  if (grid.shared > 48 * 1024) {  // more than that must be asked for
    cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                         cudaFuncAttributeMaxDynamicSharedMemorySize, int(grid.shared));
  }
  kernel<<<blocks, unsigned(grid.threads), grid.shared, queue.stream()>>>(
      static_cast<Parameters>(arguments)...);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess)
    throw DeviceError(std::string(name) + ": " + cudaGetErrorString(error) + ".");
#endif
}

#endif

}  // namespace ringside
