// Model folders for tests, whose weights are a hash of their names: make_goldens.py makes the same.
#pragma once

#include <filesystem>
#include <string>

namespace ringside {

// A folder that is deleted with this object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;  // owns the folder
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, const std::string& bytes);

// Writes config.json and model.safetensors. formats: "f32", "f16", "bf16", or "mixed" for int4 and
// FP8.
void write_tiny_model(const std::filesystem::path& folder, const std::string& config_json,
                      const std::string& formats);

// config.json of the embedded model's family; `changes` are members that replace the base's,
// e.g. R"("ring_window": 0)".
std::string tiny_config(const std::string& changes = "");

// test/fixtures/native
std::filesystem::path fixtures();

}  // namespace ringside
