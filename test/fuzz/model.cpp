// A whole model, damaged where it hurts: it loads and generates, or ends in an EngineError. The
// first byte chooses the model and the backend; each four bytes after it are one edit: what, where
// (two bytes), with what.
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "engine.h"
#include "error.h"
#include "files.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

constexpr size_t kMemory = 256u << 20;
constexpr int kContext = 64;
constexpr size_t kMostEdits = 8;

constexpr uint64_t kNumbers[] = {
    0,          1,          2,           3,
    7,          8,          31,          32,
    33,         255,        256,         257,
    4096,       65536,      1u << 24,    (1u << 24) + 1,
    1u << 31,   0x7FFFFFFF, 0xFFFFFFFFu, 1ull << 32,
    1ull << 53, 1ull << 62, 1ull << 63,  ~0ull,
};
constexpr float kFloats[] = {0.0f, -1.0f, 1e-45f, 1e38f, INFINITY, -INFINITY, NAN};
constexpr const char* kLiterals[] = {
    "0",
    "1",
    "2",
    "-1",
    "1.5",
    "256",
    "65536",
    "16777216",
    "16777217",
    "1e300",
    "1e-300",
    "4294967297",
    "9007199254740992",
    "true",
    "false",
    "null",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "\"yarn\"",
    "[16777216]",
    "\"llama3\"",
    "3",
};

template <typename T, size_t n>
const T& pick(const T (&table)[n], uint8_t value) {
  return table[value % n];
}

struct Edit {
  uint8_t what;
  uint16_t where;
  uint8_t with;
};

size_t scaled(uint16_t where, size_t size) { return size_t(where) * size / 65536; }

void edit_number(std::string& file, const Field& field, uint64_t number) {
  std::memcpy(file.data() + field.at, &number, field.width);  // little-endian
}

// Any file: bytes, its length, and runs of what is no number.
bool edit_bytes(std::string& file, const Edit& edit) {
  if (file.size() < 512) return true;
  const size_t at = scaled(edit.where, file.size() - 256);
  switch (edit.what % 8) {
    case 0:
      file[at] = char(edit.with);
      return true;
    case 1:
      file.resize(at);
      return true;
    case 2:
      for (size_t i = 0; i < 32; i++) {
        const float value = pick(kFloats, edit.with);
        std::memcpy(file.data() + at / 4 * 4 + 4 * i, &value, sizeof value);
      }
      return true;
    case 3:
      file[scaled(edit.where, 4096)] = char(edit.with);
      return true;
    default:
      return false;
  }
}

void edit_gguf(std::string& file, const std::vector<Field>& fields, const Edit& edit) {
  if (edit_bytes(file, edit)) return;
  const Field& field = fields[edit.where % fields.size()];
  if (field.at + field.width > file.size()) return;
  uint64_t number = 0;
  std::memcpy(&number, file.data() + field.at, field.width);
  if (edit.what % 8 < 6) return edit_number(file, field, pick(kNumbers, edit.with));
  if (edit.what % 8 == 6) return edit_number(file, field, number + uint64_t(int8_t(edit.with)));
  float value = pick(kFloats, edit.with);
  std::memcpy(&number, &value, sizeof value);
  edit_number(file, field, number);
}

void edit_folder(ModelText& model, const Edit& edit) {
  if (edit.what % 8 < 4) {
    static_cast<void>(edit_bytes(edit.what & 8 ? model.tokenizer : model.data, edit));
    return;
  }
  Literals& json = edit.what & 8 ? model.config : model.header;
  std::string& literal = json.literal(edit.where);
  if (edit.what % 8 < 6) {
    literal = pick(kLiterals, edit.with);
  } else {
    const double number = std::strtod(literal.c_str(), nullptr);
    if (std::abs(number) < 1e15) literal = std::to_string(int64_t(number) + int8_t(edit.with));
  }
}

std::vector<Edit> edits_of(const uint8_t* data, size_t size) {
  std::vector<Edit> edits;
  for (size_t at = 1; at + 4 <= size && edits.size() < kMostEdits; at += 4) {
    edits.push_back({data[at], uint16_t(data[at + 1] << 8 | data[at + 2]), data[at + 3]});
  }
  return edits;
}

// Two tokens after two: everything a model computes with runs.
void run(const std::filesystem::path& path, bool whole, const std::string& backend_name) {
  LoadOptions options;
  options.backend = backend_name;
  options.threads = 1;
  options.model.memory_bytes = kMemory;
  options.model.context_tokens = kContext;
  if (whole) {
    Engine engine(path, options, [](float) {});
    GenerateRequest request;
    request.tokens = {1, 2};
    request.max_tokens = 2;
    request.sampling.temperature = 1;
    request.ends = {0};
    std::string heard;
    const auto text = engine.generate(request, false, [&](std::string_view t) { heard += t; });
    if (heard != text.text || text.tokens.empty()) std::abort();
    return;
  }
  const auto backend = make_backend(options.backend, options.threads);
  const ModelFiles files(path);
  Model model(files, *backend, options.model, [](float) {});
  Sequence sequence(model.config(), *backend, model.context_tokens(),
                    model.memory().checkpoint_every);
  const Token token = 0;
  for (int i = 0; i < 2 && sequence.size() < sequence.capacity(); i++) {
    model.forward(sequence, {&token, 1});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 5) return 0;
  static const std::vector<BaseModel> bases = base_models();
  static const TemporaryFolder folder;
  const BaseModel& base = bases[size_t(data[0] >> 1) % bases.size()];
  std::filesystem::path path = folder.path();
  if (base.is_gguf) {
    std::string file = base.gguf;
    for (const Edit& edit : edits_of(data, size)) edit_gguf(file, base.fields, edit);
    path /= "model.gguf";
    write_file(path, file);
  } else {
    ModelText model = base.folder;
    for (const Edit& edit : edits_of(data, size)) edit_folder(model, edit);
    path /= "folder";
    std::filesystem::create_directories(path);
    model.write(path);
  }
  try {
    run(path, base.whole, data[0] & 1 ? "reference" : "auto");
  } catch (const EngineError&) {
  }
  return 0;
}
