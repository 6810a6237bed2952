#include "error.h"

#include <cstddef>

#include "json.h"

namespace ringside {

namespace {

constexpr size_t kMostStart = 1200, kMostEnd = 600;  // bytes; what to do stands at the end

// Files name things as they like, and a message ends in logs, terminals and windows.
std::string printable(const std::string& message) {
  std::string text;
  for (size_t i = 0; i < message.size();) {
    const size_t length = utf8_length(message, i);
    const auto byte = static_cast<unsigned char>(message[i]);
    if (length == 0 || byte < 0x20 || byte == 0x7F) {
      text += '?';
      i++;
    } else {
      text.append(message, i, length);
      i += length;
    }
  }
  return text;
}

bool continues(char byte) { return (byte & 0xC0) == 0x80; }

std::string readable(const std::string& message) {
  const std::string text = printable(message);
  if (text.size() <= kMostStart + kMostEnd) return text;
  size_t start = kMostStart, end = text.size() - kMostEnd;
  while (continues(text[start])) start--;
  while (continues(text[end])) end++;
  return text.substr(0, start) + " ... " + text.substr(end);
}

}  // namespace

EngineError::EngineError(ErrorCode code, const std::string& message)
    : std::runtime_error(readable(message)), code_(code) {}

}  // namespace ringside
