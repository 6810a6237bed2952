// Any bytes: tensors that lie inside the file and fit their shapes, or an EngineError MODEL_CORRUPT
// or MODEL_UNSUPPORTED.
#include "gguf.h"

#include <cstdlib>

#include "error.h"
#include "families.h"

using namespace ringside;

namespace {

void read_all(const Gguf& gguf, std::span<const std::byte> file) {
  unsigned sum = 0;
  for (const auto& [name, tensor] : gguf.tensors) {
    const std::byte *begin = tensor.bytes.data(), *end = begin + tensor.bytes.size();
    if (begin < file.data() || end > file.data() + file.size()) std::abort();
    for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
  }
  for (const auto& [key, value] : gguf.metadata) {
    if (value.string() != nullptr) sum += unsigned(std::hash<std::string_view>()(*value.string()));
    if (value.strings() == nullptr) continue;
    for (const auto text : *value.strings()) sum += unsigned(std::hash<std::string_view>()(text));
  }
  if (sum == 0xFFFFFFFFu) std::abort();  // keeps the reads
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  try {
    const Gguf gguf = parse_gguf(file, "fuzz");
    read_all(gguf, file);
    config_from_gguf(gguf, "fuzz");
  } catch (const EngineError& error) {
    const bool expected =
        error.code() == ErrorCode::model_corrupt || error.code() == ErrorCode::model_unsupported;
    if (!expected) std::abort();
  }
  return 0;
}
