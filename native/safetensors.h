// The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tensor.h"

namespace ringside {

// Checks the whole header before anything is used: lengths, offsets, gaps and overlaps, alignment,
// that type x shape is the number of bytes, and duplicate names. `where` names the file in
// messages. Throws EngineError MODEL_CORRUPT. The result points into `file`.
Tensors parse_safetensors(std::span<const std::byte> file, const std::string& where);

}  // namespace ringside
