// Time, energy and ceilings of a device.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device.h"

namespace ringside::bench {

double now();  // seconds since some moment

struct Timing {
  double median = 0, least = 0;  // seconds
  int samples = 0;
};
Timing timing_of(std::vector<double> seconds);

// Of what `work` sends to the device's queue: by events there, and on the emulator by the clock. It
// is done once before. At least `least` samples, and until `budget` seconds have passed.
Timing measure(Device& device, const std::function<void()>& work, double budget = 0.15,
               int least = 5);

// `work` once, so that its kernels are loaded, and recorded.
Graph record(Device& device, const std::function<void()>& work);

// Device memory for `count` values, given back at the end.
template <typename T>
class Array {
 public:
  Array(Device& device, size_t count)
      : device_(device), data_(device.allocate_array<T>(count)), count_(count) {}
  Array(Device& device, const std::vector<T>& host) : Array(device, host.size()) {
    device.upload(data_, host.data(), host.size() * sizeof(T));
  }
  ~Array() { device_.release(data_); }
  Array(const Array&) = delete;  // owns the memory

  T* data() const { return data_; }
  size_t count() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }

 private:
  Device& device_;
  T* data_;
  size_t count_;
};

// Random values of deviation about 1 / 3.
std::vector<float> noise(size_t count, uint64_t seed);

// ---- the driver's meters: NVML, opened where there is one ----

class Meters {
 public:
  explicit Meters(int device);
  // Joules since the driver was loaded; -1 where that isn't known.
  double joules() const;
  std::string driver() const { return driver_; }  // "": not known
  std::string problem() const { return problem_; }
  int processor_megahertz() const;  // -1: not known

 private:
  std::string driver_, problem_;
  void* handle_ = nullptr;
};

struct Energy {
  double joules = -1;  // each time; -1: not known
  double watts = -1;   // meanwhile
  int times = 0;
};
// Of doing `work` again and again for at least `seconds`.
Energy energy(Device& device, const Meters& meters, const std::function<void()>& work,
              double seconds);
// Watts of a device with nothing to do.
double idle_watts(const Meters& meters, double seconds);

// ---- ceilings ----

struct Ceilings {
  double copy = -1;  // bytes a second, read and written both counted
  double bf16 = -1;  // operations a second of a dense product
};
double copy_rate(Device& device, size_t bytes);
// Through cuBLAS, opened at run time; -1 and a `problem` without.
double bf16_rate(Device& device, int size, std::string& problem);

}  // namespace ringside::bench
