// The CUDA runtime's device.
#include <cuda_runtime.h>

#include "device.h"

namespace ringside {

namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const bool full = error == cudaErrorMemoryAllocation;
  cudaGetLastError();  // the next call is not to hear of this one again
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(error) + ".", full);
}

std::string version_text(int version) {  // 1000 major + 10 minor
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

struct Graph::Recorded {
  cudaGraphExec_t graph = nullptr;
  ~Recorded() {
    if (graph != nullptr)
      cudaGraphExecDestroy(graph);  // else an error for the next call to hear of
  }
};
Graph::Graph() = default;
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

struct Device::Handles {
  int index = 0;
  cudaStream_t stream = nullptr;
  cudaEvent_t marks[kMarks] = {};

  ~Handles() {
    for (cudaEvent_t mark : marks) {
      if (mark != nullptr) cudaEventDestroy(mark);
    }
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
  // The runtime's current device is a thread's own, and engines change threads.
  void use() const { check(cudaSetDevice(index), "cudaSetDevice"); }
};

Device::Device(int index) : handles_(std::make_unique<Handles>()) {
  handles_->index = index;
  handles_->use();
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  // Waiting threads sleep: a completion waits often, and the processor has other work.
  cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync);
  cudaGetLastError();
  check(cudaStreamCreateWithFlags(&handles_->stream, cudaStreamNonBlocking), "cudaStreamCreate");
  for (cudaEvent_t& mark : handles_->marks) {
    check(cudaEventCreateWithFlags(&mark, cudaEventDisableTiming | cudaEventBlockingSync),
          "cudaEventCreate");
  }
  info_ = describe_device(index);
  info_.free_bytes = free_bytes();
  queue_ = std::make_unique<Queue>(handles_->stream, index, info_.capability,
                                   properties.multiProcessorCount);
}

Device::~Device() { cudaSetDevice(handles_->index); }

size_t Device::free_bytes() const {
  handles_->use();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

void* Device::allocate(size_t bytes) {
  handles_->use();
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes > 0 ? bytes : 1), "cudaMalloc");
  return memory;
}

void Device::release(void* memory) noexcept {
  cudaSetDevice(handles_->index);
  cudaFree(memory);
}

void Device::upload(void* to, const void* from, size_t bytes) {
  handles_->use();
  // From pageable memory the runtime copies to its own before this returns.
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, handles_->stream), "upload");
}

void Device::download(void* to, const void* from, size_t bytes) {
  handles_->use();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, handles_->stream), "download");
  synchronize();
}

void Device::copy(void* to, const void* from, size_t bytes) {
  handles_->use();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handles_->stream), "copy");
}

void Device::clear(void* memory, size_t bytes) {
  handles_->use();
  check(cudaMemsetAsync(memory, 0, bytes, handles_->stream), "clear");
}

void Device::synchronize() {
  handles_->use();
  check(cudaStreamSynchronize(handles_->stream), "waiting for the device");
}

void Device::begin_recording() {
  handles_->use();
  check(cudaStreamBeginCapture(handles_->stream, cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  recording_ = true;
}

Graph Device::end_recording() {
  recording_ = false;
  cudaGraph_t recorded = nullptr;
  check(cudaStreamEndCapture(handles_->stream, &recorded), "cudaStreamEndCapture");
  Graph graph;
  graph.recorded_ = std::make_unique<Graph::Recorded>();
  const cudaError_t error = cudaGraphInstantiate(&graph.recorded_->graph, recorded, 0);
  cudaGraphDestroy(recorded);
  check(error, "cudaGraphInstantiate");
  return graph;
}

void Device::replay(const Graph& graph) {
  handles_->use();
  check(cudaGraphLaunch(graph.recorded_->graph, handles_->stream), "cudaGraphLaunch");
}

void* Device::allocate_shared(size_t bytes) {
  handles_->use();
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocMapped), "cudaHostAlloc");
  return memory;
}

void Device::release_shared(void* memory) noexcept { cudaFreeHost(memory); }

void Device::mark(int which) {
  check(cudaEventRecord(handles_->marks[which], handles_->stream), "cudaEventRecord");
}

void Device::wait(int which) {
  check(cudaEventSynchronize(handles_->marks[which]), "waiting for the device");
}

std::string runtime_version() {
  int version = 0;
  cudaRuntimeGetVersion(&version);
  return version_text(version);
}

std::string driver_version() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) return "";
  return version_text(version);
}

int count_devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (error == cudaErrorInsufficientDriver) {
    const std::string driver = driver_version();
    throw DeviceError(driver.empty()
                          ? "No NVIDIA driver is installed. Install one to use the GPU."
                          : "The NVIDIA driver runs CUDA " + driver + ", and this needs " +
                                runtime_version() + ". Update the driver.");
  }
  if (error == cudaErrorNoDevice) throw DeviceError("The NVIDIA driver finds no GPU.");
  check(error, "cudaGetDeviceCount");
  return count;
}

DeviceInfo describe_device(int index) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  DeviceInfo info;
  info.name = properties.name;
  info.capability = 10 * properties.major + properties.minor;
  info.total_bytes = properties.totalGlobalMem;
  return info;
}

size_t free_bytes_of(int index) {
  size_t free = 0, total = 0;
  check(cudaSetDevice(index), "cudaSetDevice");
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

}  // namespace ringside
