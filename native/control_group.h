// The memory that a container leaves to its processes: Linux's control groups, of either version.
#pragma once

#include <cstddef>
#include <filesystem>

namespace ringside {

// The least limit in bytes of this process's group and those above it; the largest number for none,
// also where there are no such groups. `root` is another system's for tests.
size_t control_group_limit(const std::filesystem::path& root = "/");

}  // namespace ringside
