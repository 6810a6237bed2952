#include "control_group.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>

#include "mapping.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// Files of a system by their paths, and the limit that they tell.
void check(const std::map<std::string, std::string>& files, size_t expected) {
  const TemporaryFolder root;
  for (const auto& [path, text] : files) {
    std::filesystem::create_directories((root.path() / path).parent_path());
    write_file(root.path() / path, text);
  }
  CHECK(control_group_limit(root.path()) == expected);
}

constexpr const char* kSelf = "proc/self/cgroup";

}  // namespace

TEST_CASE("a container's memory is what its control group allows, or one above it") {
  check({}, SIZE_MAX);
  check({{kSelf, "0::/\n"}}, SIZE_MAX);
  check({{kSelf, "0::/\n"}, {"sys/fs/cgroup/memory.max", "2147483648\n"}}, 2147483648);
  check({{kSelf, "0::/a/b\n"},
         {"sys/fs/cgroup/a/memory.max", "1000000\n"},
         {"sys/fs/cgroup/a/b/memory.max", "max\n"}},
        1000000);
  check({{kSelf, "0::/a/b\n"},
         {"sys/fs/cgroup/a/memory.max", "3000000\n"},
         {"sys/fs/cgroup/a/b/memory.max", "2000000\n"}},
        2000000);
  check({{kSelf, "0::/docker/0123\n"}, {"sys/fs/cgroup/memory.max", "5000000\n"}}, 5000000);
}

TEST_CASE("a container's memory is known from control groups of the first version") {
  const std::string self = "12:cpu,cpuacct:/x\n8:memory:/docker/0123\n1:name=systemd:/y\n0::/z\n";
  const std::string mount = "sys/fs/cgroup/memory/";
  check({{kSelf, self}}, SIZE_MAX);
  check({{kSelf, self}, {mount + "memory.limit_in_bytes", "4000000\n"}}, 4000000);
  check({{kSelf, self},
         {mount + "memory.limit_in_bytes", "9223372036854771712\n"},
         {mount + "docker/0123/memory.limit_in_bytes", "6000000\n"}},
        6000000);
  check({{kSelf, "no\n3:memory\n8:cpu,memory:/a\n"},
         {mount + "a/memory.limit_in_bytes", "7000000\n"}},
        7000000);
}

TEST_CASE("this computer has no more memory than this process may take") {
  CHECK(physical_memory() > 0);
  CHECK(physical_memory() <= control_group_limit());
}
