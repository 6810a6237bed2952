#include "cpu/threads.h"

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#ifdef __linux__
#include <sys/resource.h>
#endif

using namespace ringside;

namespace {

void check_runs_each_part_once(Threads& threads) {
  for (const int parts : {0, 1, 2, 7, 1000}) {
    CAPTURE(parts);
    std::vector<std::atomic<int>> runs(size_t(parts) + 1);
    threads.run(parts, [&](int part) { runs[size_t(part)]++; });
    for (int part = 0; part < parts; part++) CHECK(runs[size_t(part)] == 1);
    CHECK(runs[size_t(parts)] == 0);
  }
}

// The cores of a process whose memberships are `memberships`, where the files `limits` hold what
// they say.
int cores_with(const std::string& memberships,
               const std::vector<std::pair<std::string, std::string>>& limits) {
  const std::filesystem::path root =
      std::filesystem::temp_directory_path() /
      ("ringside-quota-" + std::to_string(reinterpret_cast<uintptr_t>(&limits)));
  for (const auto& [path, limit] : limits) {
    std::filesystem::create_directories((root / path).parent_path());
    std::ofstream(root / path) << limit << "\n";
  }
  std::istringstream text(memberships);
  const int cores = cores_of_quota(text, root);
  std::filesystem::remove_all(root);
  return cores;
}

}  // namespace

TEST_CASE("a control group's quota is the least of those above it, in both versions") {
  const int none = 1 << 20;
  CHECK(cores_with("", {}) == none);
  CHECK(cores_with("0::/a/b\n", {{"a/b/cpu.max", "max 100000"}}) == none);
  CHECK(cores_with("0::/\n", {{"cpu.max", "400000 100000"}}) == 4);
  CHECK(cores_with("0::/a/b\n", {{"a/b/cpu.max", "400000 100000"}}) == 4);
  CHECK(cores_with("0::/a/b\n", {{"a/b/cpu.max", "max 100000"}, {"a/cpu.max", "150000 50000"}}) ==
        3);
  CHECK(cores_with("0::/a\n", {{"a/cpu.max", "400000 100000"}, {"cpu.max", "200000 100000"}}) == 2);
  CHECK(cores_with("0::/not/seen\n", {{"cpu.max", "20000 100000"}}) == 1);
  const std::string quota = "cpu.cfs_quota_us", period = "cpu.cfs_period_us";
  const std::string groups = "5:memory:/m\n4:cpu,cpuacct:/a\n0::/\n";
  const std::string group = "cpu,cpuacct/a/";
  CHECK(cores_with(groups, {{group + quota, "300000"}, {group + period, "100000"}}) == 3);
  CHECK(cores_with(groups, {{group + quota, "-1"}, {group + period, "100000"}}) == none);
  CHECK(cores_with("1:cpu:/a\n", {{"cpu/" + quota, "200000"}, {"cpu/" + period, "100000"}}) == 2);
  CHECK(cores_with("1:cpuset:/a\n", {{"cpuset/a/cpu.max", "100000 100000"}}) == none);
}

TEST_CASE("every part is run once, on one thread and on many") {
  for (const int count : {1, 2, 5, 40}) {
    CAPTURE(count);
    Threads threads(count);
    CHECK(threads.count() == count);
    check_runs_each_part_once(threads);
  }
}

#ifdef __linux__
TEST_CASE("where the system starts no more threads, those that there are do the work") {
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  const rlimit none = {1 << 20, before.rlim_max};  // less than is taken: no room for a stack
  REQUIRE(setrlimit(RLIMIT_AS, &none) == 0);
  Threads threads(200);
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
  CHECK(threads.count() >= 1);
  CHECK(threads.count() < 200);
  check_runs_each_part_once(threads);
}
#endif
