// The GGUF format, versions 2 and 3: metadata, then the tensors' descriptions, then their bytes.
// (Specification: github.com/ggml-org/ggml, docs/gguf.md.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor.h"

namespace ringside {

// One value of the metadata. Numbers of all widths are one of three kinds; strings point into the
// file.
class GgufValue {
 public:
  using Strings = std::vector<std::string_view>;
  using Numbers = std::vector<double>;  // of any numeric or boolean array, exact up to 2^53

  GgufValue() = default;
  explicit GgufValue(std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string_view,
                                  Strings, Numbers>
                         value)
      : value_(std::move(value)) {}

  const std::string_view* string() const { return std::get_if<std::string_view>(&value_); }
  const Strings* strings() const { return std::get_if<Strings>(&value_); }
  const Numbers* numbers() const { return std::get_if<Numbers>(&value_); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  // A whole number of any width into `number`; false if it is none or beyond 2^53.
  bool integer(int64_t& number) const;
  // Any number into `number`; false if it is none.
  bool real(double& number) const;

 private:
  // Empty: an array of arrays, which nothing here reads.
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string_view, Strings, Numbers>
      value_;
};

struct Gguf {
  std::map<std::string, GgufValue, std::less<>> metadata;
  Tensors tensors;

  const GgufValue* find(std::string_view key) const;
};

// Whether the file says that it is GGUF: its first four bytes.
bool is_gguf(std::span<const std::byte> file);

// Checks all of it before anything is used: counts, lengths, offsets, alignment, overlaps, block
// sizes and duplicate names. `where` names the file in messages. Throws EngineError MODEL_CORRUPT,
// or MODEL_UNSUPPORTED for another version or byte order. The result points into `file`.
Gguf parse_gguf(std::span<const std::byte> file, const std::string& where);

}  // namespace ringside
