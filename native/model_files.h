// The files of one model, mapped: a GGUF file (or several that it is split into), or a Hugging Face
// folder with config.json, tokenizer.json and safetensors.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "families.h"
#include "gguf.h"
#include "mapping.h"
#include "tensor.h"

namespace ringside {

class ModelFiles {
 public:
  // `path`: a .gguf file (of a split model: any part), a folder with config.json, or a folder with
  // one GGUF model. Maps everything and checks every header; reads no weights. Throws EngineError
  // MODEL_NOT_FOUND, MODEL_CORRUPT or MODEL_UNSUPPORTED.
  explicit ModelFiles(const std::filesystem::path& path);

  // Null for a folder.
  const Gguf* gguf() const { return is_gguf_ ? &gguf_ : nullptr; }
  const Config& config() const { return config_; }
  const Names& names() const { return is_gguf_ ? names_in_gguf() : names_in_folder(config_); }
  const Tensors& tensors() const { return is_gguf_ ? gguf_.tensors : tensors_; }
  // What messages call the model's weights.
  const std::string& where() const { return where_; }
  const std::filesystem::path& folder() const { return folder_; }
  // Whether `data` lies in one of the mapped files.
  bool maps(const void* data) const;
  // One of them that was written to since; empty: none.
  std::filesystem::path changed() const;
  // The text of a small file of the folder, or "" if there is none.
  std::string text(const char* name) const;

 private:
  void open_gguf(const std::filesystem::path& path);
  void add_part(const std::filesystem::path& path, int number, int count);
  void open_folder();
  void add_safetensors(const std::filesystem::path& path);
  std::span<const std::byte> map(const std::filesystem::path& path);

  bool is_gguf_ = false;
  std::filesystem::path folder_;
  std::string where_;
  std::vector<std::unique_ptr<Mapping>> mappings_;
  Gguf gguf_;        // of a split model: the first part's metadata, all parts' tensors
  Tensors tensors_;  // of a folder
  Config config_;
};

}  // namespace ringside
