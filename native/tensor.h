// A tensor of a checkpoint, in place in a mapped file: what every file format is read into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace ringside {

// How the elements of a tensor are stored. The q* are GGUF's block formats.
enum class Dtype : uint8_t {
  f32,
  f16,
  bf16,
  f8_e4m3,
  i32,
  i64,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k,
  other,  // known to the format, but nothing here computes with it
};

// One tensor. Row-major: the last dimension is contiguous, also for GGUF, which counts the other
// way.
struct Tensor {
  Dtype dtype = Dtype::other;
  std::string dtype_name;  // as the file spells it
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

using Tensors = std::unordered_map<std::string, Tensor>;

// "[2, 3]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace ringside
