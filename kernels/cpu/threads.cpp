#include "threads.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <system_error>

#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sched.h>
#endif

namespace ringside {
namespace {

// Some ten microseconds: a worker stays awake between the operations of one token, and sleeps
// between requests. Then it yields, for machines with fewer free cores than threads.
constexpr int kSpins = 2000;
constexpr int kYields = 20;
constexpr int kMostThreads = 1024;  // more than any processor has cores

void pause_cpu() {
#if defined(_MSC_VER)
  YieldProcessor();
#elif defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits a while for `ready`, first spinning; false when it still is not.
template <class Ready>
bool spin(Ready ready) {
  for (int i = 0; i < kSpins; i++) {
    if (ready()) return true;
    pause_cpu();
  }
  for (int i = 0; i < kYields; i++) {
    if (ready()) return true;
    std::this_thread::yield();
  }
  return ready();
}

// Of one group, in cores; infinite for none.
double quota_of(const std::filesystem::path& group) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  std::string quota;
  double period = 0;
  if (std::ifstream v2(group / "cpu.max"); v2 >> quota >> period) {
    if (quota == "max") return kNone;
  } else {
    std::ifstream v1(group / "cpu.cfs_quota_us"), v1_period(group / "cpu.cfs_period_us");
    if (!(v1 >> quota) || !(v1_period >> period)) return kNone;
  }
  const double most = std::strtod(quota.c_str(), nullptr);
  return most > 0 && period > 0 ? most / period : kNone;
}

#if defined(__linux__)
// Hyperthreads of one core name the same siblings.
int affine_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::string siblings = "cpu" + std::to_string(cpu);
    std::ifstream file("/sys/devices/system/cpu/" + siblings + "/topology/thread_siblings_list");
    std::getline(file, siblings);
    cores.insert(siblings);
  }
  std::ifstream memberships("/proc/self/cgroup");
  return std::min(int(cores.size()), cores_of_quota(memberships, "/sys/fs/cgroup"));
}
#endif

}  // namespace

int cores_of_quota(std::istream& memberships, const std::filesystem::path& root) {
  double least = 1 << 20;
  for (std::string line; std::getline(memberships, line);) {  // "4:cpu,cpuacct:/a/b", "0::/a/b"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool of_cpu = ("," + controllers + ",").find(",cpu,") != std::string::npos;
    if (!controllers.empty() && !of_cpu) continue;
    // A container may see its own group mounted as the root, and still be told the host's path.
    std::filesystem::path group = root / controllers;
    least = std::min(least, quota_of(group));
    for (const auto& part : std::filesystem::path(line.substr(second + 1)).relative_path()) {
      group /= part;
      least = std::min(least, quota_of(group));
    }
  }
  return std::max(1, int(least + 0.5));
}

int physical_cores() {
  int cores = 0;
#if defined(_WIN32)
  DWORD size = 0;
  GetLogicalProcessorInformation(nullptr, &size);
  std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> all(
      size / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION));
  DWORD_PTR mine = 0, whole = 0;
  GetProcessAffinityMask(GetCurrentProcess(), &mine, &whole);
  if (!all.empty() && GetLogicalProcessorInformation(all.data(), &size))
    for (const auto& one : all)
      cores += one.Relationship == RelationProcessorCore && (one.ProcessorMask & mine) != 0;
#elif defined(__APPLE__)
  size_t size = sizeof cores;
  // Performance cores: an even split over slow ones would wait for those.
  if (sysctlbyname("hw.perflevel0.physicalcpu", &cores, &size, nullptr, 0) != 0) {
    size = sizeof cores;
    sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0);
  }
#elif defined(__linux__)
  cores = affine_cores();
#endif
  return cores > 0 ? cores : std::max(1, int(std::thread::hardware_concurrency()));
}

// A system may refuse to start more: then those that there are do the work. Thrown from here, its
// refusal would destroy threads that run, which ends the process.
Threads::Threads(int count) {
  count = std::min(count > 0 ? count : physical_cores(), kMostThreads);
  workers_.reserve(size_t(count));
  try {
    for (int i = 1; i < count; i++) workers_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
  }
}

Threads::~Threads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Threads::share(int parts, Call call, const void* body) {
  call_ = call;
  body_ = body;
  parts_ = parts;
  next_ = 0;
  busy_ = int(workers_.size());
  {
    const std::lock_guard lock(mutex_);
    job_++;
  }
  wake_.notify_all();
  take();
  const auto done = [this] { return busy_ == 0; };
  while (!spin(done)) {
  }
}

void Threads::take() {
  for (int i = next_++; i < parts_; i = next_++) call_(body_, i);
}

void Threads::work() {
  uint32_t seen = 0;
  const auto called = [&] { return stop_ || job_ != seen; };
  for (;;) {
    if (!spin(called)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, called);
    }
    if (stop_) return;
    seen = job_;
    take();
    busy_--;
  }
}

}  // namespace ringside
