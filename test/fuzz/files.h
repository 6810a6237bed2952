// Models to damage, and where in their files the numbers stand.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ringside {

// A little-endian number of a GGUF file's head: a count, a length, a type, a value or an offset.
struct Field {
  size_t at = 0, width = 0;  // bytes
};

// A JSON text, cut at its literals (numbers, strings that are values, true, false and null).
class Literals {
 public:
  Literals() = default;
  explicit Literals(const std::string& json);
  std::string& literal(size_t i) { return pieces_[2 * (i % (pieces_.size() / 2)) + 1]; }
  std::string text() const;

 private:
  std::vector<std::string> pieces_;  // between, literal, between, literal, .., between
};

// A Hugging Face folder.
struct ModelText {
  Literals config;
  Literals header;  // of model.safetensors
  std::string data;
  std::string tokenizer;  // "": none

  void write(const std::filesystem::path& folder) const;
};

struct BaseModel {
  bool whole = false;  // has a tokenizer
  bool is_gguf = false;
  std::string gguf;
  std::vector<Field> fields;
  ModelText folder;
};

// The two checked-in models, and one of each kind of feed-forward, attention and weights.
std::vector<BaseModel> base_models();

}  // namespace ringside
