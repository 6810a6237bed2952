// A device's memory and the order of what is done on it: the CUDA runtime, or the emulator's
// imitation. Host code; no kernel is in here.
#pragma once

#include <memory>
#include <string>

#include "queue.h"

namespace ringside {

// What can be known of a device before it is used.
struct DeviceInfo {
  std::string name;
  int capability = 0;  // 10 major + minor
  size_t total_bytes = 0;
  size_t free_bytes = 0;  // now
};

// A recorded sequence of kernels, copies and clears, which can be done again at once.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;
  explicit operator bool() const { return recorded_ != nullptr; }

 private:
  friend class Device;
  struct Recorded;
  std::unique_ptr<Recorded> recorded_;
};

// One device and one queue. Everything but the allocations is done in the queue's order. Errors of
// kernels that ran are thrown where the host waits. Throws DeviceError.
class Device {
 public:
  explicit Device(int index);
  ~Device();
  Device(const Device&) = delete;  // owns the queue
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  const Queue& queue() const { return *queue_; }
  Queue& queue() { return *queue_; }
  size_t free_bytes() const;  // now

  // Aligned to 256 bytes. Throws DeviceError that is out_of_memory.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;
  template <typename T>
  T* allocate_array(size_t count) {
    return static_cast<T*>(allocate(count * sizeof(T)));
  }

  // From the host; its memory may be changed once this returns.
  void upload(void* to, const void* from, size_t bytes);
  // To the host; waits until it is there.
  void download(void* to, const void* from, size_t bytes);
  void copy(void* to, const void* from, size_t bytes);
  void clear(void* memory, size_t bytes);
  // Until all is done.
  void synchronize();

  // What is sent to the queue until end_recording() is kept and not done. No upload, download or
  // allocation may be among it.
  void begin_recording();
  bool is_recording() const { return recording_; }
  Graph end_recording();
  void replay(const Graph& graph);

  // Memory of the host that kernels can write to and the host can read at any time.
  void* allocate_shared(size_t bytes);
  void release_shared(void* memory) noexcept;
  // A mark in the queue, one of kMarks, and waiting until it is reached.
  static constexpr int kMarks = 2;
  void mark(int which);
  void wait(int which);

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
  std::unique_ptr<Queue> queue_;
  DeviceInfo info_;
  bool recording_ = false;
};

// How many devices there are, as the driver says. Throws DeviceError where there is no driver, or
// one that is too old; the message says what to do.
int count_devices();
// All of it but free_bytes, which only a device that can be used tells: another program may have it
// for itself. Both throw DeviceError.
DeviceInfo describe_device(int index);
size_t free_bytes_of(int index);
std::string runtime_version();  // of CUDA, such as "13.0"
std::string driver_version();   // the newest that the driver runs, such as "13.0"; "": no driver

}  // namespace ringside
