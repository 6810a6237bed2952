// A strict JSON (RFC 8259) reader. The engine must build with nothing but a C++ compiler and CMake,
// and it reads three small documents at load; so this is 200 fuzzed lines and not a dependency.
// Stricter than the RFC where files have been attacked before: duplicate keys, depth, and invalid
// UTF-8 or unpaired surrogates are errors.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ringside {

// Wrong syntax, or a value of another type than asked for. The caller knows the file's name.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Json {
 public:
  struct Member;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;  // in the order of the text

  // Throws JsonError, with the byte offset of what is wrong.
  static Json parse(std::string_view text);

  Json();  // null
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();  // these are defined where Member is complete
  explicit Json(std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value);

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // Each throws JsonError for another type.
  bool boolean() const;
  double number() const;
  int64_t integer() const;  // also throws for a fraction, or beyond +-2^53
  const std::string& string() const;
  const Array& array() const;
  const Object& object() const;

  // The member called `key`, or null if there is none or it is a JSON null.
  const Json* find(std::string_view key) const;
  // Whether there is one, null too.
  bool has(std::string_view key) const;
  // The same as find(), but throws when it is missing.
  const Json& at(std::string_view key) const;

 private:
  std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value_;
};

struct Json::Member {
  std::string key;
  Json value;
};

// The length in bytes of the valid UTF-8 character at `i`, or 0 for none (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF).
size_t utf8_length(std::string_view text, size_t i);

// Appends `code_point` as UTF-8.
void append_utf8(std::string& text, char32_t code_point);

}  // namespace ringside
