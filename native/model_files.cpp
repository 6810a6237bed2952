#include "model_files.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "display.h"
#include "error.h"
#include "json.h"
#include "safetensors.h"

namespace ringside {

namespace {

namespace fs = std::filesystem;

constexpr int kMaxParts = 1000;

[[noreturn]] void corrupt(const std::string& where, const std::string& what) {
  throw EngineError(ErrorCode::model_corrupt,
                    where + ": " + what + ". Download or export the model again.");
}

// On Windows a path made of chars would be in the system's code page.
fs::path utf8_path(const std::string& text) {
  return fs::path(std::u8string(text.begin(), text.end()));
}

// "name-00002-of-00005.gguf": the name, the part and the count of them; false for another name.
bool split_name(const std::string& file, std::string& name, int& part, int& count) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";  // 0: any digit
  if (file.size() < kForm.size()) return false;
  const size_t begin = file.size() - kForm.size();
  for (size_t i = 0; i < kForm.size(); i++) {
    const char c = file[begin + i];
    if (kForm[i] == '0' ? c < '0' || c > '9' : c != kForm[i]) return false;
  }
  name = file.substr(0, begin);
  part = std::stoi(file.substr(begin + 1, 5));
  count = std::stoi(file.substr(begin + 10, 5));
  return true;
}

// Of `name` in UTF-8.
fs::path part_name(const std::string& name, int part, int count) {
  char numbers[32];
  std::snprintf(numbers, sizeof numbers, "-%05d-of-%05d.gguf", part, count);
  return utf8_path(name + numbers);
}

int number_of(const Gguf& gguf, std::string_view key, int fallback) {
  const GgufValue* value = gguf.find(key);
  int64_t number = 0;
  return value != nullptr && value->integer(number) ? int(number) : fallback;
}

// The only GGUF model of a folder: one file, or the first part of one that is split.
fs::path only_gguf(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  const fs::directory_iterator end;
  for (fs::directory_iterator entry(folder, ignored); entry != end; entry.increment(ignored)) {
    std::string name;
    int part = 1, count = 1;
    const fs::path file = entry->path().filename();
    if (file.extension() != ".gguf") continue;
    split_name(display(file), name, part, count);
    if (part == 1) found.push_back(entry->path());
  }
  if (found.size() == 1) return found[0];
  const std::string what =
      found.empty() ? "has neither config.json nor a GGUF file"
                    : "has " + std::to_string(found.size()) + " GGUF models and no config.json";
  throw EngineError(ErrorCode::model_not_found,
                    display(folder) + " " + what +
                        ". Choose a .gguf file, or a folder with config.json, tokenizer.json and "
                        "model.safetensors.");
}

}  // namespace

ModelFiles::ModelFiles(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    open_gguf(path);
  } else if (fs::exists(path / "config.json", ignored)) {
    folder_ = path;
    open_folder();
  } else {
    open_gguf(only_gguf(path));
  }
}

std::span<const std::byte> ModelFiles::map(const fs::path& path) {
  mappings_.push_back(std::make_unique<Mapping>(path));
  return mappings_.back()->bytes();
}

void ModelFiles::open_gguf(const fs::path& path) {
  is_gguf_ = true;
  folder_ = path.parent_path();
  where_ = display(path);
  std::string name;
  int part = 0, count = 0;
  if (!split_name(display(path.filename()), name, part, count)) {
    const auto bytes = map(path);
    if (!ringside::is_gguf(bytes)) {
      throw EngineError(ErrorCode::model_unsupported,
                        where_ +
                            " is not a model that this engine reads. Choose a .gguf file, or "
                            "a folder with config.json, tokenizer.json and "
                            "model.safetensors.");
    }
    gguf_ = parse_gguf(bytes, where_);
    if (number_of(gguf_, "split.count", 1) > 1) {
      corrupt(where_, "it is a part of a split model, but is not named \"...-00001-of-" +
                          std::to_string(number_of(gguf_, "split.count", 1)) + ".gguf\"");
    }
  } else {
    if (count < 1 || count > kMaxParts || part < 1 || part > count) {
      corrupt(where_,
              "its name says part " + std::to_string(part) + " of " + std::to_string(count));
    }
    for (int i = 1; i <= count; i++) {
      add_part(folder_ / part_name(name, i, count), i, count);
    }
  }
  config_ = config_from_gguf(gguf_, where_);
  if (config_.model_name.empty()) config_.model_name = display(path.stem());
}

void ModelFiles::add_part(const fs::path& path, int number, int count) {
  const std::string where = display(path);
  Gguf part = parse_gguf(map(path), where);
  if (number_of(part, "split.count", count) != count ||
      number_of(part, "split.no", number - 1) != number - 1) {
    corrupt(where, "its metadata says another part than its name");
  }
  if (number == 1) {
    gguf_ = std::move(part);
    where_ = where;
    return;
  }
  for (auto& [tensor_name, tensor] : part.tensors) {
    if (!gguf_.tensors.emplace(tensor_name, std::move(tensor)).second) {
      corrupt(where, "tensor " + tensor_name + " is in an earlier part as well");
    }
  }
  const int expected = number_of(gguf_, "split.tensors.count", -1);
  if (number == count && expected >= 0 && gguf_.tensors.size() != size_t(expected)) {
    corrupt(where_, "its parts have " + std::to_string(gguf_.tensors.size()) +
                        " tensors and should have " + std::to_string(expected));
  }
}

void ModelFiles::open_folder() {
  config_ = config_from_json(read_text(folder_ / "config.json"), display(folder_ / "config.json"));
  std::error_code ignored;
  if (config_.model_name.empty()) {
    const fs::path whole = fs::absolute(folder_, ignored).lexically_normal();  // may end in a slash
    config_.model_name = display((whole.has_filename() ? whole : whole.parent_path()).filename());
  }
  const fs::path index = folder_ / "model.safetensors.index.json";
  if (!fs::exists(index, ignored)) {
    where_ = display(folder_ / "model.safetensors");
    return add_safetensors(folder_ / "model.safetensors");
  }
  where_ = display(index);
  std::set<std::string> files;
  try {
    const Json json = Json::parse(read_text(index));
    for (const auto& [tensor, file] : json.at("weight_map").object()) files.insert(file.string());
  } catch (const JsonError& error) {
    corrupt(where_, error.what());
  }
  for (const std::string& file : files) {
    // Only a plain name: an index must not lead out of its folder.
    if (file.find_first_of("/\\:") != std::string::npos || file == ".." || file.empty()) {
      corrupt(where_, "it names the file \"" + file + "\", which is not in its folder");
    }
    add_safetensors(folder_ / utf8_path(file));
  }
}

void ModelFiles::add_safetensors(const fs::path& path) {
  const std::string where = display(path);
  Tensors tensors = parse_safetensors(map(path), where);
  tensors_.merge(tensors);  // what is left was there
  if (tensors.empty()) return;
  corrupt(where, "tensor " + tensors.begin()->first + " is in another file as well");
}

bool ModelFiles::maps(const void* data) const {
  const auto* at = static_cast<const std::byte*>(data);
  return std::any_of(mappings_.begin(), mappings_.end(), [&](const auto& mapping) {
    const auto bytes = mapping->bytes();
    return std::less_equal<>()(bytes.data(), at) && std::less<>()(at, bytes.data() + bytes.size());
  });
}

fs::path ModelFiles::changed() const {
  const auto found = std::find_if(mappings_.begin(), mappings_.end(),
                                  [](const auto& mapping) { return mapping->has_changed(); });
  return found == mappings_.end() ? fs::path() : (*found)->path();
}

std::string ModelFiles::text(const char* name) const {
  std::error_code ignored;
  const fs::path path = folder_ / name;
  return fs::is_regular_file(path, ignored) ? read_text(path) : "";
}

}  // namespace ringside
