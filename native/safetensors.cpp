#include "safetensors.h"

#include <algorithm>
#include <limits>

#include "error.h"
#include "json.h"

namespace ringside {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own library
constexpr size_t kLengthBytes = 8;

struct DtypeRow {
  std::string_view name;
  Dtype dtype;
  uint64_t bytes;
};

constexpr DtypeRow kDtypes[] = {
    {"F32", Dtype::f32, 4},         {"F16", Dtype::f16, 2},   {"BF16", Dtype::bf16, 2},
    {"F8_E4M3", Dtype::f8_e4m3, 1}, {"I32", Dtype::i32, 4},   {"I64", Dtype::i64, 8},
    {"BOOL", Dtype::other, 1},      {"U8", Dtype::other, 1},  {"I8", Dtype::other, 1},
    {"F8_E5M2", Dtype::other, 1},   {"I16", Dtype::other, 2}, {"U16", Dtype::other, 2},
    {"U32", Dtype::other, 4},       {"F64", Dtype::other, 8}, {"U64", Dtype::other, 8},
};

class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  Tensors read() {
    if (file_.size() < kLengthBytes) corrupt("it has " + std::to_string(file_.size()) + " bytes");
    uint64_t length = 0;
    for (size_t i = 0; i < kLengthBytes; i++) {
      length |= std::to_integer<uint64_t>(file_[i]) << (8 * i);
    }
    if (length > kMaxHeader || length > file_.size() - kLengthBytes) {
      corrupt("its header claims " + std::to_string(length) + " bytes of a file of " +
              std::to_string(file_.size()));
    }
    const auto header = file_.subspan(kLengthBytes, static_cast<size_t>(length));
    data_ = file_.subspan(kLengthBytes + header.size());

    Tensors tensors;
    try {
      const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
      if (text.empty() || text.front() != '{') corrupt("its header does not start with '{'");
      const Json json = Json::parse(text);
      tensors.reserve(json.object().size());
      for (const auto& [name, entry] : json.object()) {
        if (name != "__metadata__") tensors.emplace(name, tensor(name, entry));
      }
    } catch (const JsonError& error) {
      corrupt(std::string("its header is wrong: ") + error.what());
    }
    check_coverage(tensors);
    return tensors;
  }

 private:
  [[noreturn]] void corrupt(const std::string& what) const {
    throw EngineError(ErrorCode::model_corrupt, where_ + " is not a usable safetensors file: " +
                                                    what + ". Download or export the model again.");
  }

  Tensor tensor(const std::string& name, const Json& entry) const {
    Tensor tensor;
    tensor.dtype_name = entry.at("dtype").string();
    const auto* row = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const DtypeRow& r) { return r.name == tensor.dtype_name; });
    if (row == std::end(kDtypes)) {
      corrupt("tensor " + name + " has the unknown type " + tensor.dtype_name);
    }
    tensor.dtype = row->dtype;

    uint64_t bytes = row->bytes;
    for (const Json& dim : entry.at("shape").array()) {
      const int64_t size = dim.integer();
      if (size < 0) corrupt("tensor " + name + " has a negative dimension");
      if (size > 0 && bytes > std::numeric_limits<uint64_t>::max() / uint64_t(size)) {
        corrupt("the shape of tensor " + name + " overflows");
      }
      bytes *= uint64_t(size);
      tensor.shape.push_back(size);
    }

    const auto& offsets = entry.at("data_offsets").array();
    if (offsets.size() != 2) corrupt("tensor " + name + " lacks its two offsets");
    const int64_t begin = offsets[0].integer(), end = offsets[1].integer();
    if (begin < 0 || end < begin || uint64_t(end) > data_.size()) {
      corrupt("tensor " + name + " lies at bytes " + std::to_string(begin) + " to " +
              std::to_string(end) + " of " + std::to_string(data_.size()));
    }
    if (uint64_t(end - begin) != bytes) {
      corrupt("tensor " + name + " of type " + tensor.dtype_name + " and shape " +
              shape_text(tensor.shape) + " has " + std::to_string(end - begin) +
              " bytes instead of " + std::to_string(bytes));
    }
    tensor.bytes = data_.subspan(size_t(begin), size_t(bytes));
    const auto offset_in_file = uint64_t(tensor.bytes.data() - file_.data());
    if (bytes > 0 && offset_in_file % row->bytes != 0) {
      corrupt("tensor " + name + " is not aligned to its type");
    }
    return tensor;
  }

  // Every byte of the data belongs to exactly one tensor.
  void check_coverage(const Tensors& tensors) const {
    std::vector<std::pair<size_t, size_t>> ranges;  // begin, size
    for (const auto& [name, tensor] : tensors) {
      const auto begin = size_t(tensor.bytes.data() - data_.data());
      if (!tensor.bytes.empty()) ranges.emplace_back(begin, tensor.bytes.size());
    }
    std::sort(ranges.begin(), ranges.end());
    size_t covered = 0;
    for (const auto& [begin, size] : ranges) {
      if (begin < covered) corrupt("tensors overlap at byte " + std::to_string(begin));
      if (begin > covered) corrupt("no tensor owns byte " + std::to_string(covered));
      covered = begin + size;
    }
    if (covered != data_.size()) corrupt("no tensor owns byte " + std::to_string(covered));
  }

  std::span<const std::byte> file_;
  std::span<const std::byte> data_;
  const std::string& where_;
};

}  // namespace

Tensors parse_safetensors(std::span<const std::byte> file, const std::string& where) {
  return Reader(file, where).read();
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace ringside
