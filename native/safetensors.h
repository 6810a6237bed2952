// The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ringside {

enum class Dtype : uint8_t { f32, f16, bf16, f8_e4m3, i32, i64, other };

// One tensor, in place in the file's bytes, aligned to its element.
struct Tensor {
  Dtype dtype = Dtype::other;
  std::string dtype_name;  // as the file spells it
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

using Tensors = std::unordered_map<std::string, Tensor>;

// Checks the whole header before anything is used: lengths, offsets, gaps and overlaps, alignment,
// that type x shape is the number of bytes, and duplicate names. `where` names the file in
// messages. Throws EngineError MODEL_CORRUPT. The result points into `file`.
Tensors parse_safetensors(std::span<const std::byte> file, const std::string& where);

// "[2, 3]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace ringside
