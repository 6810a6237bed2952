// Requests to an engine, as its tests make them.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "engine.h"

namespace ringside {

inline const std::atomic<bool> kGoOn = false;
inline const TextSink kIgnore = [](std::string_view) {};

inline const std::string kText =
    "def check(value):\n    return value + 12\nitems = [value for value in range(10)]\n";

inline GenerateRequest request(Engine& engine, const std::string& text, int max_tokens) {
  GenerateRequest request;
  engine.tokenizer().encode(text, request.tokens);
  request.max_tokens = max_tokens;
  return request;
}

}  // namespace ringside
