#include "hashed_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "hashing.h"
#include "tiny_model.h"

namespace ringside {

namespace {

size_t size_of(const std::vector<int>& shape) {
  size_t size = 1;
  for (const int dim : shape) size *= size_t(dim);
  return size;
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
std::string bytes_of_value(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string vector_bytes(const HashedTensor& tensor, const std::string& salted) {
  const bool norm = tensor.role == "norm";
  const float base = norm ? 1.0f : 0.0f, scale = tensor.role == "lead" ? 0.125f : 0.25f;
  std::vector<float> values(size_of(tensor.shape));
  for (size_t i = 0; i < values.size(); i++) values[i] = base + fraction(salted, i) * scale;
  return bytes_of(values);
}

std::string float_bytes(const std::string& salted, size_t size, const std::string& type) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; i++) values[i] = fraction(salted, i) / 8;
  if (type == "F32") return bytes_of(values);
  std::vector<uint16_t> halves(size);
  std::transform(values.begin(), values.end(), halves.begin(), type == "F16" ? to_f16 : to_bf16);
  return bytes_of(halves);
}

// A block format of GGUF: hashed bytes, and over them float16 fields that make sane weights.
struct BlockFormat {
  const char* type;
  uint32_t id;  // ggml's
  size_t width, bytes;
  std::map<size_t, float> fields;  // offset -> value at quarter 0
};

const BlockFormat kBlocks[] = {
    {"Q4_0", 2, 32, 18, {{0, 0x1p-6f}}},
    {"Q4_1", 3, 32, 20, {{0, 0x1p-6f}, {2, -8 * 0x1p-6f}}},
    {"Q5_0", 6, 32, 22, {{0, 0x1p-7f}}},
    {"Q5_1", 7, 32, 24, {{0, 0x1p-7f}, {2, -16 * 0x1p-7f}}},
    {"Q8_0", 8, 32, 34, {{0, 0x1p-10f}}},
    {"Q4_K", 12, 256, 144, {{0, 0x1p-11f}, {2, 7.5f * 0x1p-11f}}},
    {"Q5_K", 13, 256, 176, {{0, 0x1p-12f}, {2, 15.5f * 0x1p-12f}}},
    {"Q6_K", 14, 256, 210, {{208, 0x1p-14f}}},
};

std::string block_bytes(const std::string& salted, size_t size, const BlockFormat& format) {
  const size_t count = size / format.width;
  std::string bytes(count * format.bytes, '\0');
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = char(hash(salted, i) >> 56);
  for (size_t b = 0; b < count; b++) {
    for (const auto& [offset, value] : format.fields) {
      const uint16_t half = to_f16(value * quarters(salted + ".scale", b));
      std::memcpy(bytes.data() + b * format.bytes + offset, &half, sizeof half);
    }
  }
  return bytes;
}

// ---- safetensors ----

class FolderWriter {
 public:
  FolderWriter(std::string type, std::string salt)
      : type_(std::move(type)), salt_(std::move(salt)) {}

  void add(const HashedTensor& tensor) {
    const std::string salted = salt_ + tensor.name;
    if (tensor.role != "matrix")
      return put(tensor.name, "F32", tensor.shape, 4, vector_bytes(tensor, salted));
    const std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
    if (type_.starts_with("INT4")) return add_int4(stem, salted, tensor.shape);
    if (type_.starts_with("FP8")) return add_f8(stem, salted, tensor.shape);
    put(tensor.name, type_, tensor.shape, type_ == "F32" ? 4 : 2,
        float_bytes(salted, size_of(tensor.shape), type_));
  }

  std::string file() const {
    std::string header = "{", data;
    for (const auto& [key, entry] : entries_) {
      header += (header.size() == 1 ? "\"" : ",\"") + key.second + "\":{" + entry.head +
                ",\"data_offsets\":[" + std::to_string(data.size());
      data += entry.data;
      header += "," + std::to_string(data.size()) + "]}";
    }
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    return bytes_of_value(uint64_t(header.size())) + header + data;
  }

 private:
  struct Entry {
    std::string head, data;
  };

  void put(const std::string& name, const std::string& dtype, const std::vector<int>& shape,
           int width, std::string data) {
    std::string dims;
    for (const int dim : shape) dims += (dims.empty() ? "" : ",") + std::to_string(dim);
    // Wide types first: each is aligned.
    entries_[{-width, name}] = {"\"dtype\":\"" + dtype + "\",\"shape\":[" + dims + "]",
                                std::move(data)};
  }

  void add_f8(const std::string& stem, const std::string& salted, const std::vector<int>& shape) {
    const int rows = shape[0], cols = shape[1];
    std::vector<uint8_t> codes(size_of(shape));
    for (size_t i = 0; i < codes.size(); i++) {
      const auto bits = uint8_t(hash(salted, i) >> 58);
      codes[i] = uint8_t((bits >> 5) << 7 | (((bits >> 3) & 3) + 4) << 3 | (bits & 7));
    }
    put(stem + ".weight", "F8_E4M3", shape, 1, bytes_of(codes));
    const bool block = type_ == "FP8_BLOCK";
    const std::vector<int> scales = {block ? (rows + 127) / 128 : rows,
                                     block ? (cols + 127) / 128 : 1};
    std::vector<float> values(size_of(scales));
    for (size_t i = 0; i < values.size(); i++) values[i] = quarters(salted + ".scale", i) / 8;
    put(stem + (block ? ".weight_scale_inv" : ".weight_scale"), "F32", scales, 4, bytes_of(values));
  }

  void add_int4(const std::string& stem, const std::string& salted, const std::vector<int>& shape) {
    const int rows = shape[0], cols = shape[1], group = type_ == "INT4_128" ? 128 : 32;
    const int groups = cols / group;
    std::vector<uint32_t> packed(size_of(shape) / 8);
    for (size_t i = 0; i < size_of(shape); i++) {
      packed[i / 8] |= uint32_t(hash(salted, i) >> 60) << (4 * (i % 8));
    }
    // The variants have their scales in another type each.
    std::vector<uint16_t> scales(size_t(rows) * size_t(groups));
    for (size_t i = 0; i < scales.size(); i++) {
      const float scale = quarters(salted + ".scale", i) / 64;
      scales[i] = type_ == "INT4_128" ? to_bf16(scale) : to_f16(scale);
    }
    put(stem + ".weight_packed", "I32", {rows, cols / 8}, 4, bytes_of(packed));
    put(stem + ".weight_scale", type_ == "INT4_128" ? "BF16" : "F16", {rows, groups}, 2,
        bytes_of(scales));
    put(stem + ".weight_shape", "I64", {2}, 8, bytes_of(std::vector<int64_t>{rows, cols}));
    if (type_ != "INT4_ZERO") return;
    std::vector<uint32_t> zeros(size_t((rows + 7) / 8) * size_t(groups));
    for (int r = 0; r < rows; r++) {
      for (int g = 0; g < groups; g++) {
        const auto zero =
            uint32_t(hash(salted + ".zero", uint64_t(r) * uint64_t(groups) + uint64_t(g)) >> 62) +
            6;
        zeros[size_t(r / 8) * size_t(groups) + size_t(g)] |= zero << (4 * (r % 8));
      }
    }
    put(stem + ".weight_zero_point", "I32", {(rows + 7) / 8, groups}, 4, bytes_of(zeros));
  }

  std::string type_, salt_;
  std::map<std::pair<int, std::string>, Entry> entries_;
};

// ---- GGUF ----

std::string gguf_string(const std::string& text) {
  return bytes_of_value(uint64_t(text.size())) + text;
}

std::string gguf_value(const Json& value) {
  if (value.is_string()) return bytes_of_value(uint32_t(8)) + gguf_string(value.string());
  try {
    return bytes_of_value(uint32_t(7)) + std::string(1, value.boolean() ? 1 : 0);
  } catch (const JsonError&) {
    const double number = value.number();
    if (number == std::floor(number))
      return bytes_of_value(uint32_t(4)) + bytes_of_value(uint32_t(number));
    return bytes_of_value(uint32_t(6)) + bytes_of_value(float(number));
  }
}

struct GgufTensor {
  uint32_t type;
  std::string data;
};

GgufTensor gguf_tensor(const HashedTensor& tensor, const std::string& type,
                       const std::string& salted) {
  if (tensor.role != "matrix") return {0, vector_bytes(tensor, salted)};
  const size_t size = size_of(tensor.shape);
  for (const BlockFormat& format : kBlocks) {
    if (type == format.type) return {format.id, block_bytes(salted, size, format)};
  }
  return {type == "F32" ? 0u : type == "F16" ? 1u : 30u, float_bytes(salted, size, type)};
}

std::string gguf_file(const std::vector<std::pair<std::string, std::string>>& metadata,
                      const std::vector<HashedTensor>& tensors, const std::string& type,
                      const std::string& salt) {
  constexpr size_t kAlignment = 32;
  std::string head = "GGUF" + bytes_of_value(uint32_t(3)) +
                     bytes_of_value(uint64_t(tensors.size())) +
                     bytes_of_value(uint64_t(metadata.size()));
  for (const auto& [key, value] : metadata) head += gguf_string(key) + value;
  std::string data;
  for (const HashedTensor& tensor : tensors) {
    const GgufTensor made = gguf_tensor(tensor, type, salt + tensor.name);
    head += gguf_string(tensor.name) + bytes_of_value(uint32_t(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) {
      head += bytes_of_value(uint64_t(*dim));
    }
    head += bytes_of_value(made.type) + bytes_of_value(uint64_t(data.size()));
    data += made.data;
    data.append((kAlignment - data.size() % kAlignment) % kAlignment, '\0');
  }
  head.append((kAlignment - head.size() % kAlignment) % kAlignment, '\0');
  return head + data;
}

}  // namespace

void write_hashed_folder(const std::filesystem::path& folder, const std::string& config,
                         const std::vector<HashedTensor>& tensors, const std::string& type,
                         const std::string& salt) {
  std::string quantization;
  if (type == "FP8_BLOCK") {
    quantization = R"(,"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]})";
  } else if (type == "FP8" || type.starts_with("INT4")) {
    quantization = R"(,"quantization_config":{"quant_method":"compressed-tensors"})";
  }
  write_file(folder / "config.json", config.substr(0, config.rfind('}')) + quantization + "}");
  FolderWriter writer(type, salt);
  for (const HashedTensor& tensor : tensors) writer.add(tensor);
  write_file(folder / "model.safetensors", writer.file());
}

void write_hashed_gguf(const std::filesystem::path& path, const Json& metadata,
                       const std::vector<HashedTensor>& tensors, const std::string& type,
                       const std::string& salt, int parts) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : metadata.object()) values.emplace_back(key, gguf_value(value));
  if (parts == 1) return write_file(path, gguf_file(values, tensors, type, salt));
  const size_t each = (tensors.size() + size_t(parts) - 1) / size_t(parts);
  for (int part = 0; part < parts; part++) {
    const auto begin = tensors.begin() + ptrdiff_t(each) * part;
    const auto end = tensors.begin() + ptrdiff_t(std::min(tensors.size(), each * size_t(part + 1)));
    std::vector<std::pair<std::string, std::string>> own;
    if (part == 0) own = values;
    const auto u16 = [](int value) {
      return bytes_of_value(uint32_t(2)) + bytes_of_value(uint16_t(value));
    };
    own.emplace_back("split.no", u16(part));
    own.emplace_back("split.count", u16(parts));
    own.emplace_back("split.tensors.count",
                     bytes_of_value(uint32_t(5)) + bytes_of_value(int32_t(tensors.size())));
    char name[40];
    std::snprintf(name, sizeof name, "-%05d-of-%05d.gguf", part + 1, parts);
    write_file(path.parent_path() / (path.stem().string() + name),
               gguf_file(own, {begin, end}, type, salt));
  }
}

}  // namespace ringside
