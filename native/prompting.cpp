#include "prompting.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "display.h"
#include "error.h"
#include "json.h"

namespace ringside {

namespace {

[[noreturn]] void corrupt(const std::string& where, const std::string& what) {
  throw EngineError(ErrorCode::model_corrupt,
                    where + ": " + what + ". Download or export the model again.");
}

// No vocabulary is larger; read_prompting() compares with the real one.
std::optional<Token> token_in_range(int64_t id) {
  return id >= 0 && id < 1 << 24 ? std::optional(Token(id)) : std::nullopt;
}

std::string string_of(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  return value != nullptr && value->string() != nullptr ? std::string(*value->string()) : "";
}

std::optional<Token> token_of(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  int64_t id = 0;
  return value != nullptr && value->integer(id) ? token_in_range(id) : std::nullopt;
}

std::optional<bool> flag_of(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  if (value == nullptr || value->boolean() == nullptr) return std::nullopt;
  return *value->boolean();
}

std::vector<std::string> strings_of(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  if (value == nullptr || value->strings() == nullptr) return {};
  return {value->strings()->begin(), value->strings()->end()};
}

template <typename Number>
std::vector<Number> numbers_of(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  std::vector<Number> numbers;
  if (value == nullptr || value->numbers() == nullptr) return numbers;
  for (const double number : *value->numbers()) {
    // A conversion out of range is undefined; whole numbers that are none become -1.
    const double near = std::clamp(number, -2147483648.0, 2147483647.0);
    const bool whole = near == number && near == std::floor(near);
    numbers.push_back(std::is_integral_v<Number> && !whole ? Number(-1) : Number(near));
  }
  return numbers;
}

TokenizerSpec spec_of_gguf(const Gguf& gguf, const std::string& where) {
  GgufTokenizerFields fields;
  fields.architecture = string_of(gguf, "general.architecture");
  fields.model = string_of(gguf, "tokenizer.ggml.model");
  fields.pre = string_of(gguf, "tokenizer.ggml.pre");
  fields.tokens = strings_of(gguf, "tokenizer.ggml.tokens");
  fields.token_types = numbers_of<int32_t>(gguf, "tokenizer.ggml.token_type");
  fields.merges = strings_of(gguf, "tokenizer.ggml.merges");
  fields.scores = numbers_of<float>(gguf, "tokenizer.ggml.scores");
  fields.bos = token_of(gguf, "tokenizer.ggml.bos_token_id");
  fields.eos = token_of(gguf, "tokenizer.ggml.eos_token_id");
  fields.unknown = token_of(gguf, "tokenizer.ggml.unknown_token_id");
  fields.add_space_prefix = flag_of(gguf, "tokenizer.ggml.add_space_prefix");
  fields.add_bos = flag_of(gguf, "tokenizer.ggml.add_bos_token");
  return spec_from_gguf(fields, where);
}

// The current key, or the one that it had in older files.
std::optional<Token> fim_token(const Gguf& gguf, const char* key, const char* old) {
  const auto token = token_of(gguf, std::string("tokenizer.ggml.") + key + "_token_id");
  return token || old == nullptr
             ? token
             : token_of(gguf, std::string("tokenizer.ggml.") + old + "_token_id");
}

void read_gguf(const Gguf& gguf, Prompting& prompting) {
  for (const char* key : {"eos", "eot", "eom"}) {
    const auto token = token_of(gguf, std::string("tokenizer.ggml.") + key + "_token_id");
    if (token) prompting.ends.push_back(*token);
  }
  prompting.fim_prefix = fim_token(gguf, "fim_pre", "prefix");
  prompting.fim_suffix = fim_token(gguf, "fim_suf", "suffix");
  prompting.fim_middle = fim_token(gguf, "fim_mid", "middle");
  prompting.fim_repository = fim_token(gguf, "fim_rep", nullptr);
  prompting.fim_separator = fim_token(gguf, "fim_sep", nullptr);
  prompting.chat_template = string_of(gguf, "tokenizer.chat_template");
}

// A token is given as its text, or as an object with "content".
std::optional<Token> named_token(const Json* json, const Tokenizer& tokenizer) {
  if (json == nullptr) return std::nullopt;
  if (json->is_object()) json = json->find("content");
  if (json == nullptr || !json->is_string()) return std::nullopt;
  const auto found = tokenizer.special_tokens().find(json->string());
  if (found == tokenizer.special_tokens().end()) return std::nullopt;
  return found->second;
}

// One id, or several.
void add_ends(const Json* json, Prompting& prompting) {
  if (json == nullptr) return;
  const auto add = [&](const Json& id) {
    if (const auto token = token_in_range(id.integer())) prompting.ends.push_back(*token);
  };
  if (!json->is_array()) return add(*json);
  for (const Json& id : json->array()) add(id);
}

// Calls read(json) on a file of the folder, if it is there.
template <typename Read>
void with_json(const ModelFiles& files, const char* name, Read read) {
  const std::string text = files.text(name);
  if (text.empty()) return;
  try {
    read(Json::parse(text));
  } catch (const JsonError& error) {
    corrupt(display(files.folder() / name), error.what());
  }
}

// One template, or several by name, of which "default" is meant.
void read_template(const Json* json, Prompting& prompting) {
  if (json == nullptr) return;
  if (json->is_string()) {
    prompting.chat_template = json->string();
    return;
  }
  for (const Json& named : json->array()) {
    if (named.at("name").string() == "default") {
      prompting.chat_template = named.at("template").string();
    }
  }
}

void read_folder(const ModelFiles& files, const Tokenizer& tokenizer, Prompting& prompting) {
  with_json(files, "tokenizer_config.json", [&](const Json& json) {
    if (const auto bos = named_token(json.find("bos_token"), tokenizer)) prompting.bos = bos;
    const Json* kind = json.find("tokenizer_class");  // Llama's adds it if nothing says otherwise
    if (kind != nullptr && kind->string().starts_with("Llama")) prompting.adds_bos = true;
    if (const Json* adds = json.find("add_bos_token")) prompting.adds_bos = adds->boolean();
    if (const auto end = named_token(json.find("eos_token"), tokenizer)) {
      prompting.ends.push_back(*end);
    }
    read_template(json.find("chat_template"), prompting);
  });
  with_json(files, "config.json",
            [&](const Json& json) { add_ends(json.find("eos_token_id"), prompting); });
  with_json(files, "generation_config.json",
            [&](const Json& json) { add_ends(json.find("eos_token_id"), prompting); });
  if (const std::string text = files.text("chat_template.jinja"); !text.empty()) {
    prompting.chat_template = text;
  }
}

}  // namespace

TokenizerSpec tokenizer_spec(const ModelFiles& files) {
  if (const Gguf* gguf = files.gguf()) return spec_of_gguf(*gguf, files.where());
  const auto path = files.folder() / "tokenizer.json";
  return spec_from_json(read_text(path), display(path));
}

Prompting read_prompting(const ModelFiles& files, const Tokenizer& tokenizer) {
  Prompting prompting;
  prompting.bos = tokenizer.bos();
  prompting.adds_bos = tokenizer.adds_bos();
  if (const Gguf* gguf = files.gguf()) {
    read_gguf(*gguf, prompting);
  } else {
    read_folder(files, tokenizer, prompting);
  }
  const auto beyond = [&](Token token) { return token < 0 || token >= tokenizer.size(); };
  auto& ends = prompting.ends;
  ends.erase(std::remove_if(ends.begin(), ends.end(), beyond), ends.end());
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  for (auto* token : {&prompting.bos, &prompting.fim_prefix, &prompting.fim_suffix,
                      &prompting.fim_middle, &prompting.fim_repository, &prompting.fim_separator}) {
    if (*token && beyond(**token)) token->reset();
  }
  prompting.adds_bos = prompting.adds_bos && prompting.bos.has_value();
  return prompting;
}

}  // namespace ringside
