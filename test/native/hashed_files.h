// Model files for tests, of any family and type, whose weights are a hash of their names: the same
// as make_family_goldens.py makes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "json.h"

namespace ringside {

struct HashedTensor {
  std::string name;
  std::vector<int> shape;
  std::string role;  // "matrix", or one of the vectors
};

// Writes config.json and model.safetensors into `folder`. `type`: "F32", "F16", "BF16", "FP8",
// "FP8_BLOCK", "INT4", "INT4_128", "INT4_ZERO"; `salt` stands before every name that is hashed.
void write_hashed_folder(const std::filesystem::path& folder, const std::string& config,
                         const std::vector<HashedTensor>& tensors, const std::string& type,
                         const std::string& salt);

// Writes a GGUF file. `metadata`: strings, numbers and booleans. `type`: "F32" .. "Q6_K". In
// `parts` above 1, part i is `path` with "-0000i-of-0000n" before its ending.
void write_hashed_gguf(const std::filesystem::path& path, const Json& metadata,
                       const std::vector<HashedTensor>& tensors, const std::string& type,
                       const std::string& salt, int parts = 1);

}  // namespace ringside
