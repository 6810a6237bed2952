// A pool of persistent workers: one job at a time, spread over all of them and the caller.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <istream>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace ringside {

// The physical cores that this process may run on, at least 1.
int physical_cores();

// The cores that Linux's control groups let a process use, or a large number. `memberships` is what
// /proc/self/cgroup says, `root` where they are mounted: version 2 (cpu.max), or version 1's cpu
// (cpu.cfs_quota_us, -1 for none). A group's limit is its members' too, so the least of all above
// it counts.
int cores_of_quota(std::istream& memberships, const std::filesystem::path& root);

class Threads {
 public:
  // With the caller; 0: the physical cores. Fewer where the system starts no more.
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return int(workers_.size()) + 1; }

  // Calls body(part) for part 0 .. parts-1, each once, in any order and on any thread, and returns
  // when all are done. From one thread at a time; body must not throw.
  template <class Body>
  void run(int parts, Body&& body) {
    if (parts <= 1 || workers_.empty()) {
      for (int part = 0; part < parts; part++) body(part);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    share(
        parts, [](const void* b, int part) { (*static_cast<const Plain*>(b))(part); }, &body);
  }

 private:
  using Call = void (*)(const void* body, int part);
  void share(int parts, Call call, const void* body);
  void work();
  void take();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint32_t> job_{0};  // counts the jobs; a worker that sees a new number takes part
  std::atomic<int> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  Call call_ = nullptr;
  const void* body_ = nullptr;
  int parts_ = 0;
};

}  // namespace ringside
