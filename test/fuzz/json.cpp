// Any bytes: a value or a JsonError, never anything else. What is valid stays so with space around
// it.
#include "json.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  bool valid = true;
  try {
    ringside::Json::parse(text);
  } catch (const ringside::JsonError&) {
    valid = false;
  }
  if (valid) ringside::Json::parse(" " + text + "\n");
  return 0;
}
