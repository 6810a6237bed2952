#include "control_group.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace ringside {

namespace {

// "max", no file, or anything else that is no number: no limit.
size_t limit_in(const std::filesystem::path& file) {
  std::ifstream text(file);
  uint64_t bytes = 0;
  return text >> bytes ? size_t(std::min<uint64_t>(bytes, SIZE_MAX)) : SIZE_MAX;
}

// The group at `path` below `mount`, and all above it: each limits what is in it. In a container
// the path may be the host's, and not there; the limit is then at the top.
size_t least_limit(const std::filesystem::path& mount, std::string path, const char* file) {
  size_t least = limit_in(mount / file);
  while (!path.empty()) {
    least = std::min(least, limit_in(mount / path.substr(1) / file));
    path.resize(path.rfind('/'));
  }
  return least;
}

}  // namespace

size_t control_group_limit(const std::filesystem::path& root) {
  const std::filesystem::path mount = root / "sys" / "fs" / "cgroup";
  std::ifstream groups(root / "proc" / "self" / "cgroup");
  size_t least = SIZE_MAX;
  for (std::string line; std::getline(groups, line);) {  // number:controllers:/path
    const size_t controllers = line.find(':'), path = line.find(":/");
    if (controllers == std::string::npos || path == std::string::npos) continue;
    const std::string names = "," + line.substr(controllers + 1, path - controllers) + ",";
    const std::string group = line.substr(path + 1);
    if (line.starts_with("0::")) {
      least = std::min(least, least_limit(mount, group, "memory.max"));
    } else if (names.find(",memory") != std::string::npos) {
      least = std::min(least, least_limit(mount / "memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace ringside
