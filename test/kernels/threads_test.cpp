#include "cpu/threads.h"

#include <doctest/doctest.h>

#include <atomic>
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

}  // namespace

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
