#include "gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "error.h"

namespace ringside {

namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kMaxKey = 65535;  // bytes, by the specification
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kMaxExact = 1ull << 53;  // beyond it a double skips whole numbers
constexpr int kMaxDepth = 8;                // of arrays in arrays
// Far beyond any model (a vocabulary of 262,144 has three arrays, and under a million merges), and
// little enough that what is made of them takes some hundred megabytes at most.
constexpr uint64_t kMaxElements = 1 << 23;  // of all arrays of the metadata
constexpr uint64_t kMaxEntries = 1 << 20;   // tensors, and metadata values

// Types of metadata values, by the specification's numbers.
enum class Kind : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

// What one of each takes in an array at least: a string its length, an array its type and length.
constexpr uint64_t kLeastBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// Tensor types by ggml's numbers. Types without a Dtype are listed so that their size is checked
// and an error can name them.
struct TypeRow {
  uint32_t id;
  std::string_view name;
  Dtype dtype;
  uint32_t columns;  // of a block
  uint32_t bytes;    // of a block
};

constexpr TypeRow kTypes[] = {
    {0, "F32", Dtype::f32, 1, 4},           {1, "F16", Dtype::f16, 1, 2},
    {2, "Q4_0", Dtype::q4_0, 32, 18},       {3, "Q4_1", Dtype::q4_1, 32, 20},
    {6, "Q5_0", Dtype::q5_0, 32, 22},       {7, "Q5_1", Dtype::q5_1, 32, 24},
    {8, "Q8_0", Dtype::q8_0, 32, 34},       {9, "Q8_1", Dtype::other, 32, 36},
    {10, "Q2_K", Dtype::other, 256, 84},    {11, "Q3_K", Dtype::other, 256, 110},
    {12, "Q4_K", Dtype::q4_k, 256, 144},    {13, "Q5_K", Dtype::q5_k, 256, 176},
    {14, "Q6_K", Dtype::q6_k, 256, 210},    {15, "Q8_K", Dtype::other, 256, 292},
    {16, "IQ2_XXS", Dtype::other, 256, 66}, {17, "IQ2_XS", Dtype::other, 256, 74},
    {18, "IQ3_XXS", Dtype::other, 256, 98}, {19, "IQ1_S", Dtype::other, 256, 50},
    {20, "IQ4_NL", Dtype::other, 32, 18},   {21, "IQ3_S", Dtype::other, 256, 110},
    {22, "IQ2_S", Dtype::other, 256, 82},   {23, "IQ4_XS", Dtype::other, 256, 136},
    {24, "I8", Dtype::other, 1, 1},         {25, "I16", Dtype::other, 1, 2},
    {26, "I32", Dtype::i32, 1, 4},          {27, "I64", Dtype::i64, 1, 8},
    {28, "F64", Dtype::other, 1, 8},        {29, "IQ1_M", Dtype::other, 256, 56},
    {30, "BF16", Dtype::bf16, 1, 2},        {34, "TQ1_0", Dtype::other, 256, 54},
    {35, "TQ2_0", Dtype::other, 256, 66},   {39, "MXFP4", Dtype::other, 32, 17},
};

class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  Gguf read() {
    if (!is_gguf(file_)) corrupt("it does not start with \"GGUF\"");
    at_ = kMagic.size();
    check_version(number<uint32_t>("the version"));
    const auto n_tensors = number<uint64_t>("the number of tensors");
    const auto n_values = number<uint64_t>("the number of metadata values");
    // The least that each takes: a key's length, a type and a byte; a name's length, the number of
    // dimensions, a type and an offset. So no count can make the loops below long.
    const uint64_t most_values = std::min(kMaxEntries, left() / 13);
    const uint64_t most_tensors = std::min(kMaxEntries, left() / 24);
    if (n_values > most_values || n_tensors > most_tensors) {
      corrupt("it claims " + std::to_string(n_values) + " metadata values and " +
              std::to_string(n_tensors) + " tensors in " + std::to_string(file_.size()) + " bytes");
    }
    Gguf gguf;
    for (uint64_t i = 0; i < n_values; i++) read_value(gguf);
    read_tensors(gguf, n_tensors, alignment(gguf));
    return gguf;
  }

 private:
  [[noreturn]] void corrupt(const std::string& what) const {
    throw EngineError(ErrorCode::model_corrupt, where_ + " is not a usable GGUF file: " + what +
                                                    ". Download or convert the model again.");
  }

  uint64_t left() const { return file_.size() - at_; }

  template <typename T>
  T number(const char* what) {
    if (left() < sizeof(T)) corrupt(std::string("it ends within ") + what);
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string_view string(const char* what, uint64_t most) {
    const auto length = number<uint64_t>(what);
    if (length > most || length > left()) {
      corrupt(std::string(what) + " claims " + std::to_string(length) + " bytes");
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + at_, size_t(length));
    at_ += size_t(length);
    return text;
  }

  void check_version(uint32_t version) const {
    if (version == 2 || version == 3) return;
    const bool swapped = (version & 0xffff) == 0;  // 3 read in the other byte order
    throw EngineError(ErrorCode::model_unsupported,
                      where_ +
                          (swapped ? " is a big-endian GGUF file"
                                   : " is GGUF version " + std::to_string(version)) +
                          "; this engine reads little-endian GGUF of versions 2 and 3. Convert the "
                          "model again with a current converter.");
  }

  void read_value(Gguf& gguf) {
    const std::string key(string("a metadata key", kMaxKey));
    const auto kind = number<uint32_t>("a metadata type");
    if (!gguf.metadata.emplace(key, value(kind, key, 0)).second) {
      corrupt("the metadata has \"" + key + "\" twice");
    }
  }

  GgufValue value(uint32_t kind, const std::string& key, int depth) {
    switch (Kind(kind)) {
      case Kind::u8:
        return GgufValue(uint64_t(number<uint8_t>("a value")));
      case Kind::i8:
        return GgufValue(int64_t(number<int8_t>("a value")));
      case Kind::u16:
        return GgufValue(uint64_t(number<uint16_t>("a value")));
      case Kind::i16:
        return GgufValue(int64_t(number<int16_t>("a value")));
      case Kind::u32:
        return GgufValue(uint64_t(number<uint32_t>("a value")));
      case Kind::i32:
        return GgufValue(int64_t(number<int32_t>("a value")));
      case Kind::u64:
        return GgufValue(number<uint64_t>("a value"));
      case Kind::i64:
        return GgufValue(number<int64_t>("a value"));
      case Kind::f32:
        return GgufValue(double(number<float>("a value")));
      case Kind::f64:
        return GgufValue(number<double>("a value"));
      case Kind::boolean:
        return GgufValue(boolean(key));
      case Kind::string:
        return GgufValue(string("a metadata string", left()));
      case Kind::array:
        return array(key, depth);
    }
    corrupt("the metadata value \"" + key + "\" has the unknown type " + std::to_string(kind));
  }

  bool boolean(const std::string& key) {
    const auto byte = number<uint8_t>("a value");
    if (byte > 1) corrupt("the metadata value \"" + key + "\" is neither true nor false");
    return byte == 1;
  }

  GgufValue array(const std::string& key, int depth) {
    const auto kind = number<uint32_t>("an array's type");
    const auto count = number<uint64_t>("an array's length");
    if (kind >= std::size(kLeastBytes)) {
      corrupt("the array \"" + key + "\" has the unknown type " + std::to_string(kind));
    }
    if (count > std::min(left() / kLeastBytes[kind], kMaxElements - elements_)) {
      corrupt("the array \"" + key + "\" claims " + std::to_string(count) + " elements");
    }
    elements_ += count;
    const bool nested = Kind(kind) == Kind::array;
    if (depth >= kMaxDepth) corrupt("the array \"" + key + "\" is nested too deep");
    if (nested) {
      for (uint64_t i = 0; i < count; i++) array(key, depth + 1);
      return GgufValue();
    }
    if (Kind(kind) == Kind::string) {
      GgufValue::Strings strings;
      strings.reserve(size_t(count));
      for (uint64_t i = 0; i < count; i++) strings.push_back(string("an array's string", left()));
      return GgufValue(std::move(strings));
    }
    GgufValue::Numbers numbers;
    numbers.reserve(size_t(count));
    for (uint64_t i = 0; i < count; i++) {
      const GgufValue element = value(kind, key, depth + 1);
      double real = 0;
      if (!element.real(real) && element.boolean() != nullptr) real = *element.boolean() ? 1 : 0;
      numbers.push_back(real);
    }
    return GgufValue(std::move(numbers));
  }

  uint64_t alignment(const Gguf& gguf) const {
    const GgufValue* value = gguf.find("general.alignment");
    if (value == nullptr) return 32;
    int64_t alignment = 0;
    const bool sane = value->integer(alignment) && alignment >= 8 &&
                      alignment <= int64_t(kMaxAlignment) &&
                      std::has_single_bit(uint64_t(alignment));
    if (!sane) corrupt("general.alignment is not a power of two from 8 on");
    return uint64_t(alignment);
  }

  struct Place {
    std::string name;
    uint64_t offset = 0, bytes = 0;
  };

  void read_tensors(Gguf& gguf, uint64_t count, uint64_t alignment) {
    std::vector<Place> places;
    places.reserve(size_t(count));
    gguf.tensors.reserve(size_t(count));
    for (uint64_t i = 0; i < count; i++) places.push_back(read_tensor(gguf, alignment));
    const uint64_t begin = (at_ + alignment - 1) / alignment * alignment;
    const auto data = file_.subspan(size_t(std::min<uint64_t>(begin, file_.size())));
    std::sort(places.begin(), places.end(),
              [](const Place& a, const Place& b) { return a.offset < b.offset; });
    uint64_t end = 0;
    for (const Place& place : places) {
      if (place.offset > data.size() || place.bytes > data.size() - place.offset) {
        corrupt("tensor " + place.name + " lies at bytes " + std::to_string(place.offset) + " to " +
                std::to_string(place.offset + place.bytes) + " of " + std::to_string(data.size()));
      }
      if (place.bytes > 0 && place.offset < end) {
        corrupt("tensor " + place.name + " overlaps another");
      }
      end = std::max(end, place.offset + place.bytes);
      gguf.tensors[place.name].bytes = data.subspan(size_t(place.offset), size_t(place.bytes));
    }
  }

  // The description of one tensor; its bytes are filled in once all are known.
  Place read_tensor(Gguf& gguf, uint64_t alignment) {
    Place place;
    place.name = string("a tensor's name", kMaxKey);
    const auto n_dims = number<uint32_t>("a tensor's dimensions");
    if (n_dims < 1 || n_dims > kMaxDims) {
      corrupt("tensor " + place.name + " has " + std::to_string(n_dims) + " dimensions");
    }
    Tensor tensor;
    uint64_t elements = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
      const auto size = number<uint64_t>("a tensor's shape");
      if (size > kMaxExact || (size > 0 && elements > kMaxExact / size)) {
        corrupt("the shape of tensor " + place.name + " overflows");
      }
      elements *= size;
      tensor.shape.insert(tensor.shape.begin(), int64_t(size));
    }
    const auto id = number<uint32_t>("a tensor's type");
    place.offset = number<uint64_t>("a tensor's offset");
    if (place.offset % alignment != 0) {
      corrupt("tensor " + place.name + " is not aligned to " + std::to_string(alignment) +
              " bytes");
    }
    const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const TypeRow& type) { return type.id == id; });
    tensor.dtype_name = row == std::end(kTypes) ? "type " + std::to_string(id) : row->name;
    if (row != std::end(kTypes)) {
      tensor.dtype = row->dtype;
      if (uint64_t(tensor.shape.back()) % row->columns != 0) {
        corrupt("tensor " + place.name + " of " + tensor.dtype_name + " has rows of " +
                std::to_string(tensor.shape.back()) + ", not a multiple of " +
                std::to_string(row->columns));
      }
      place.bytes = elements / row->columns * row->bytes;
    }
    if (!gguf.tensors.emplace(place.name, std::move(tensor)).second) {
      corrupt("tensor " + place.name + " is there twice");
    }
    return place;
  }

  std::span<const std::byte> file_;
  const std::string& where_;
  size_t at_ = 0;
  uint64_t elements_ = 0;  // of arrays, so far
};

}  // namespace

bool GgufValue::integer(int64_t& number) const {
  if (const auto* value = std::get_if<int64_t>(&value_)) {
    number = *value;
    return *value >= -int64_t(kMaxExact) && *value <= int64_t(kMaxExact);
  }
  if (const auto* value = std::get_if<uint64_t>(&value_)) {
    number = int64_t(*value);
    return *value <= kMaxExact;
  }
  return false;
}

bool GgufValue::real(double& number) const {
  int64_t whole = 0;
  if (const auto* value = std::get_if<double>(&value_)) {
    number = *value;
  } else if (integer(whole)) {
    number = double(whole);
  } else {
    return false;
  }
  return true;
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

bool is_gguf(std::span<const std::byte> file) {
  return file.size() >= kMagic.size() &&
         std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
}

Gguf parse_gguf(std::span<const std::byte> file, const std::string& where) {
  return Reader(file, where).read();
}

}  // namespace ringside
