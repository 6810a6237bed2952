// Models whose files are damaged: to load them, run them, and be refused.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "engine.h"
#include "error.h"
#include "tiny_model.h"

namespace ringside {

inline std::unique_ptr<Engine> load(const std::filesystem::path& path,
                                    const std::string& backend = "auto") {
  LoadOptions options;
  options.backend = backend;
  options.threads = 1;
  options.model.context_tokens = 64;
  return std::make_unique<Engine>(path, options, [](float) {});
}

inline void generate(Engine& engine) {
  GenerateRequest request;
  request.tokens = {65, 66};
  request.max_tokens = 1;
  request.sampling.temperature = 1;
  engine.generate(request, false, [](std::string_view) {});
}

// Loads and generates, or is refused; true if refused. Anything else leaves the test.
inline bool is_refused(const std::filesystem::path& path) {
  try {
    generate(*load(path));
    return false;
  } catch (const EngineError& error) {
    CHECK(std::string(error.what()).size() > 40);
    return true;
  }
}

inline const std::string& whole_gguf() {
  static const std::string file = read_text(fixtures() / "qwen2-tiny.gguf");
  return file;
}

inline void copy_tiny(const std::filesystem::path& folder) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy(fixtures() / "tiny" / name, folder / name,
                          std::filesystem::copy_options::overwrite_existing);
  }
}

}  // namespace ringside
