// The weights of a model, at random: bits that are numbers of a size, in a file of safetensors or
// GGUF.
#pragma once

#include <cstddef>
#include <filesystem>

#include "config.h"
#include "models.h"

namespace ringside::bench {

// By all processors. Returns the file's bytes. Throws std::runtime_error where there is no room.
size_t write_weights(const std::filesystem::path& path, const Config& config, Stored stored);

}  // namespace ringside::bench
