// The emulator's device: the host's memory, with a limit, and operations that are done at once.
#include "device_emulated.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <new>

#include "device.h"
#include "emulator.h"
#include "gpu.h"

namespace ringside {

namespace {

size_t memory_limit = size_t(1) << 30;
std::map<void*, size_t> allocations;  // of all devices
size_t allocated = 0;
int lost_after = -1;   // waits
bool lost = false;     // a wait has told: from then on every call does
int fails_after = -1;  // allocations
bool has_busy_device = false;

}  // namespace

void emulator::set_memory_limit(size_t bytes) { memory_limit = bytes; }
void emulator::lose_device_after(int waits) {
  lost_after = waits;
  lost = false;
}

void emulator::fail_allocation_after(int allocations) { fails_after = allocations; }
void emulator::add_busy_device(bool add) { has_busy_device = add; }

struct Graph::Recorded {
  std::vector<std::function<void()>> steps;
};
Graph::Graph() = default;
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

struct Device::Handles {
  std::vector<std::function<void()>> recording;
};

namespace {

void check_lost() {
  if (lost) throw DeviceError("The device was lost.");
}

// Done now, or kept while the queue records.
void submit(const Queue& queue, std::function<void()> step) {
  check_lost();
  if (queue.recording != nullptr) {
    queue.recording->push_back(std::move(step));
  } else {
    step();
  }
}

void forbid_recording(const Queue& queue, const char* what) {
  if (queue.recording != nullptr) throw DeviceError(std::string(what) + " while recording.");
}

}  // namespace

Device::Device(int index) : handles_(std::make_unique<Handles>()), queue_(new Queue) {
  if (index < 0 || index >= count_devices()) throw DeviceError("There is no such device.");
  info_ = describe_device(index);
  info_.free_bytes = free_bytes_of(index);
}
Device::~Device() = default;

size_t Device::free_bytes() const {
  return memory_limit > allocated ? memory_limit - allocated : 0;
}

void* Device::allocate(size_t bytes) {
  forbid_recording(*queue_, "allocation");
  const bool fails = fails_after == 0;
  if (fails_after >= 0) fails_after--;
  if (fails || allocated + bytes > memory_limit)
    throw DeviceError("The device's memory is full.", true);
  // Exactly as much as was asked for, so that AddressSanitizer sees what lies behind it; and full
  // of NaN, as what nobody has written.
  void* memory = ::operator new(bytes, std::align_val_t(256));
  memset(memory, 0xff, bytes);
  allocations[memory] = bytes;
  allocated += bytes;
  return memory;
}

void Device::release(void* memory) noexcept {
  const auto found = allocations.find(memory);
  if (found == allocations.end()) return;
  allocated -= found->second;
  allocations.erase(found);
  ::operator delete(memory, std::align_val_t(256));
}

void Device::upload(void* to, const void* from, size_t bytes) {
  forbid_recording(*queue_, "upload");
  check_lost();
  if (bytes > 0) memcpy(to, from, bytes);
}

void Device::download(void* to, const void* from, size_t bytes) {
  forbid_recording(*queue_, "download");
  synchronize();
  if (bytes > 0) memcpy(to, from, bytes);
}

void Device::copy(void* to, const void* from, size_t bytes) {
  submit(*queue_, [=] { memmove(to, from, bytes); });
}

void Device::clear(void* memory, size_t bytes) {
  submit(*queue_, [=] { memset(memory, 0, bytes); });
}

void Device::synchronize() {
  lost = lost || lost_after == 0;
  check_lost();
  if (lost_after > 0) lost_after--;
}

void Device::begin_recording() {
  handles_->recording.clear();
  queue_->recording = &handles_->recording;
  recording_ = true;
}

Graph Device::end_recording() {
  queue_->recording = nullptr;
  recording_ = false;
  Graph graph;
  graph.recorded_ = std::make_unique<Graph::Recorded>();
  graph.recorded_->steps = std::move(handles_->recording);
  return graph;
}

void Device::replay(const Graph& graph) {
  for (const auto& step : graph.recorded_->steps) step();
}

void* Device::allocate_shared(size_t bytes) { return ::operator new(bytes, std::align_val_t(256)); }
void Device::release_shared(void* memory) noexcept {
  ::operator delete(memory, std::align_val_t(256));
}
void Device::mark(int) {}
void Device::wait(int) { synchronize(); }

int count_devices() { return has_busy_device ? 2 : 1; }
DeviceInfo describe_device(int) { return {"Emulated device", 80, memory_limit, 0}; }
size_t free_bytes_of(int index) {
  if (has_busy_device && index == 0) throw DeviceError("The device is busy.");
  return memory_limit - std::min(memory_limit, allocated);
}
std::string runtime_version() { return "0.0"; }
std::string driver_version() { return "0.0"; }

}  // namespace ringside

// For tests that have only the library's file.
extern "C" {
__attribute__((visibility("default"))) void ringside_emulator_limit_memory(size_t bytes) {
  ringside::emulator::set_memory_limit(bytes);
}
__attribute__((visibility("default"))) void ringside_emulator_lose_device(int waits) {
  ringside::emulator::lose_device_after(waits);
}
__attribute__((visibility("default"))) void ringside_emulator_fail_allocation(int allocations) {
  ringside::emulator::fail_allocation_after(allocations);
}
__attribute__((visibility("default"))) void ringside_emulator_add_busy_device(bool add) {
  ringside::emulator::add_busy_device(add);
}
}
