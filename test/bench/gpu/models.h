// Models of real shapes with random weights: for speed and memory, which hardly depend on what the
// weights say. They are drawn so that activations keep their size from layer to layer, and so that
// routers use all experts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ringside::bench {

enum class Stored { int4_by_32, int4_by_128, f8, q4_k };

struct Shape {
  std::string name;    // for --models
  std::string title;   // for the table
  std::string config;  // config.json, without its quantization
  Stored stored = Stored::int4_by_32;
};

// `tiny`: the same families and types of weights, a few hundred kilobytes each.
std::vector<Shape> model_shapes(bool tiny);
const Shape& shape_named(const std::vector<Shape>& shapes, const std::string& name);

// A model's files, deleted with this object.
class ModelFolder {
 public:
  // Written into a new folder in `parent`, by all processors. Throws std::runtime_error where there
  // is no room.
  ModelFolder(const std::filesystem::path& parent, const Shape& shape);
  ~ModelFolder();
  ModelFolder(const ModelFolder&) = delete;  // owns the files

  const std::filesystem::path& path() const { return path_; }  // to load
  size_t bytes() const { return bytes_; }

 private:
  std::filesystem::path folder_, path_;
  size_t bytes_ = 0;
};

}  // namespace ringside::bench
