// Paths in messages.
#pragma once

#include <filesystem>
#include <string>

namespace ringside {

// `path` as UTF-8. path.string() would be in Windows' code page, and throws where that lacks a
// letter: such as of a user's name, with which the path of every extension begins.
inline std::string display(const std::filesystem::path& path) {
  const std::u8string text = path.u8string();
  return {text.begin(), text.end()};
}

}  // namespace ringside
