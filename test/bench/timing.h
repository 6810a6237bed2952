// How the benches take time: by the clock, or by what this process spent on a processor, which says
// more on a machine that is shared.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <vector>

namespace ringside {

inline bool cpu_time = false;

// Seconds since some moment, or of processor time since the process began.
inline double now() {
  if (!cpu_time) {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(time).count();
  }
#if defined(CLOCK_PROCESS_CPUTIME_ID)
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
#else
  return double(std::clock()) / CLOCKS_PER_SEC;
#endif
}

inline double seconds(const std::function<void()>& work) {
  const double start = now();
  work();
  return now() - start;
}

inline double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

}  // namespace ringside
