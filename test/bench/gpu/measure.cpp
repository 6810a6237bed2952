#include "measure.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace ringside::bench {

double now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

Timing timing_of(std::vector<double> seconds) {
  if (seconds.empty()) return {};
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), int(seconds.size())};
}

namespace {

#if defined(RINGSIDE_EMULATED)

class Stopwatch {
 public:
  explicit Stopwatch(Device& device) : device_(device) {}
  double seconds(const std::function<void()>& work) {
    const double start = now();
    work();
    device_.synchronize();
    return now() - start;
  }

 private:
  Device& device_;
};

#else

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    throw DeviceError(std::string(what) + ": " + cudaGetErrorString(error) + ".");
  }
}

class Stopwatch {
 public:
  explicit Stopwatch(Device& device) : stream_(device.queue().stream()) {
    check(cudaEventCreate(&start_), "cudaEventCreate");
    check(cudaEventCreate(&end_), "cudaEventCreate");
  }
  ~Stopwatch() {
    cudaEventDestroy(start_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;  // owns the events

  double seconds(const std::function<void()>& work) {
    check(cudaEventRecord(start_, stream_), "cudaEventRecord");
    work();
    check(cudaEventRecord(end_, stream_), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "waiting for the device");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start_, end_), "cudaEventElapsedTime");
    return double(milliseconds) * 1e-3;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t start_ = nullptr, end_ = nullptr;
};

#endif

// The first of these libraries that opens, or null.
void* open_first(const std::vector<std::string>& names, std::string& problem) {
  for (const std::string& name : names) {
    if (name.empty()) continue;
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
    if (problem.empty()) problem = dlerror();
  }
  return nullptr;
}

template <typename Function>
Function* symbol(void* library, const char* name) {
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library, name));
}

}  // namespace

Timing measure(Device& device, const std::function<void()>& work, double budget, int least) {
  work();
  device.synchronize();
  Stopwatch watch(device);
  std::vector<double> all;
  const double start = now();
  while (int(all.size()) < least || (now() - start < budget && all.size() < 1000)) {
    all.push_back(watch.seconds(work));
  }
  return timing_of(std::move(all));
}

Graph record(Device& device, const std::function<void()>& work) {
  work();
  device.synchronize();
  device.begin_recording();
  work();
  return device.end_recording();
}

std::vector<float> noise(size_t count, uint64_t seed) {
  std::vector<float> values(count);
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (float& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = float(int32_t(state >> 32)) * 0x1p-31f * 0.6f;
  }
  return values;
}

// ---- NVML: no header of it is needed for these ----

namespace {

using NvmlInit = int();
using NvmlHandle = int(const char*, void**);
using NvmlDriver = int(char*, unsigned);
using NvmlEnergy = int(void*, unsigned long long*);
using NvmlClock = int(void*, int, unsigned*);

struct Nvml {
  void* library = nullptr;
  std::string problem;
  Nvml() {
    library = open_first(
        {"libnvidia-ml.so.1", "libnvidia-ml.so", "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
         "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"},
        problem);
    auto* init = symbol<NvmlInit>(library, "nvmlInit_v2");
    if (init == nullptr || init() != 0) {
      if (problem.empty()) problem = "NVML does not start";
      library = nullptr;
    }
  }
};

Nvml& nvml() {
  static Nvml nvml;
  return nvml;
}

// The bus's name of a device, by which NVML knows it whatever CUDA_VISIBLE_DEVICES says.
std::string bus_of(int device) {
#if defined(RINGSIDE_EMULATED)
  return device < 0 ? "" : "none";
#else
  char name[32] = {};
  return cudaDeviceGetPCIBusId(name, int(sizeof name), device) == cudaSuccess ? name : "";
#endif
}

}  // namespace

Meters::Meters(int device) {
  problem_ = nvml().problem;
  if (nvml().library == nullptr) return;
  char text[128] = {};
  auto* driver = symbol<NvmlDriver>(nvml().library, "nvmlSystemGetDriverVersion");
  if (driver != nullptr && driver(text, unsigned(sizeof text)) == 0) driver_ = text;
  auto* by_bus = symbol<NvmlHandle>(nvml().library, "nvmlDeviceGetHandleByPciBusId_v2");
  if (by_bus == nullptr || by_bus(bus_of(device).c_str(), &handle_) != 0) handle_ = nullptr;
  problem_ = handle_ == nullptr ? "NVML does not know the device"
             : joules() < 0     ? "the driver does not count this device's energy"
                                : "";
}

double Meters::joules() const {
  if (handle_ == nullptr) return -1;
  auto* total = symbol<NvmlEnergy>(nvml().library, "nvmlDeviceGetTotalEnergyConsumption");
  unsigned long long millijoules = 0;
  return total != nullptr && total(handle_, &millijoules) == 0 ? double(millijoules) * 1e-3 : -1;
}

int Meters::processor_megahertz() const {
  constexpr int kProcessors = 1;  // NVML_CLOCK_SM
  auto* clock =
      handle_ == nullptr ? nullptr : symbol<NvmlClock>(nvml().library, "nvmlDeviceGetClockInfo");
  unsigned megahertz = 0;
  return clock != nullptr && clock(handle_, kProcessors, &megahertz) == 0 ? int(megahertz) : -1;
}

namespace {

struct Reading {
  double joules, at;
};

// The counter moves some ten times a second: a reading of the moment when it has just moved.
Reading next_reading(const Meters& meters, const std::function<void()>& meanwhile) {
  const double first = meters.joules(), deadline = now() + 0.5;
  double joules = first;
  while (joules == first && now() < deadline) {
    meanwhile();
    joules = meters.joules();
  }
  return {joules, now()};
}

}  // namespace

Energy energy(Device& device, const Meters& meters, const std::function<void()>& work,
              double seconds) {
  Energy result;
  if (meters.joules() < 0) return result;
  // Some 20 ms of work at a time, so that the device never waits for the host.
  const double once = std::max(measure(device, work, 0, 1).median, 1e-7);
  const int together = std::max(1, int(0.02 / once));
  const auto go_on = [&] {
    for (int i = 0; i < together; i++) work();
    device.synchronize();
    result.times += together;
  };
  go_on();
  const Reading from = next_reading(meters, go_on);
  result.times = 0;
  while (now() - from.at < seconds) go_on();
  const Reading to = next_reading(meters, go_on);
  result.joules = (to.joules - from.joules) / result.times;
  result.watts = (to.joules - from.joules) / (to.at - from.at);
  return result;
}

double idle_watts(const Meters& meters, double seconds) {
  if (meters.joules() < 0) return -1;
  const auto sleep = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  const Reading from = next_reading(meters, sleep);
  while (now() - from.at < seconds) sleep();
  const Reading to = next_reading(meters, sleep);
  return (to.joules - from.joules) / (to.at - from.at);
}

// ---- ceilings ----

double copy_rate(Device& device, size_t bytes) {
  const Array<char> from(device, bytes), to(device, bytes);
  device.clear(from.data(), bytes);
  const Timing timing = measure(
      device, [&] { device.copy(to.data(), from.data(), bytes); }, 0.3, 10);
  return 2 * double(bytes) / timing.median;
}

#if defined(RINGSIDE_EMULATED)

double bf16_rate(Device&, int, std::string& problem) {
  problem = "it is the emulator";
  return -1;
}

#else

// cuBLAS by its exported names, so that neither its headers nor its stubs are needed.
double bf16_rate(Device& device, int size, std::string& problem) {
  using Create = int(void**);
  using SetStream = int(void*, cudaStream_t);
  using Gemm = int(void*, int, int, int, int, int, const void*, const void*, int, int, const void*,
                   int, int, const void*, void*, int, int, int, int);
  const char* named = std::getenv("RINGSIDE_CUBLAS");
  const std::string toolkit = "/usr/local/cuda/lib64/libcublas.so";
  void* library = open_first({named == nullptr ? "" : named, "libcublas.so.13", "libcublas.so.12",
                              toolkit, toolkit + ".13", toolkit + ".12", "libcublas.so"},
                             problem);
  auto* create = symbol<Create>(library, "cublasCreate_v2");
  auto* set_stream = symbol<SetStream>(library, "cublasSetStream_v2");
  auto* gemm = symbol<Gemm>(library, "cublasGemmEx");
  if (create == nullptr || set_stream == nullptr || gemm == nullptr) return -1;
  problem.clear();
  void* handle = nullptr;
  if (create(&handle) != 0 || set_stream(handle, device.queue().stream()) != 0) {
    problem = "cuBLAS does not start";
    return -1;
  }
  constexpr int kTransposed = 1, kPlain = 0, kBf16 = 14 /* CUDA_R_16BF */;
  constexpr int kFloatSums = 68 /* CUBLAS_COMPUTE_32F */, kDefault = -1;
  const size_t count = size_t(size) * size_t(size);
  std::vector<uint16_t> host(count);
  const std::vector<float> values = noise(count, 5);
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    std::memcpy(&bits, &values[i], sizeof bits);
    host[i] = uint16_t(bits >> 16);
  }
  const Array<uint16_t> a(device, host), b(device, host), c(device, count);
  const float one = 1, zero = 0;
  int status = 0;
  const auto product = [&] {
    status |= gemm(handle, kTransposed, kPlain, size, size, size, &one, a.data(), kBf16, size,
                   b.data(), kBf16, size, &zero, c.data(), kBf16, size, kFloatSums, kDefault);
  };
  for (int i = 0; i < 3; i++) product();
  const Timing timing = measure(device, product, 0.3, 10);
  if (status != 0) {
    problem = "cublasGemmEx ends with status " + std::to_string(status);
    return -1;
  }
  return 2.0 * size * size * double(size) / timing.median;
}

#endif

}  // namespace ringside::bench
