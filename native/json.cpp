#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace ringside {

namespace {

constexpr int kMaxDepth = 64;  // the documents that are read need 6
// A value takes 20 times its text or more: "[0,0,..]". The largest document, a tokenizer of 262,144
// tokens, has two million.
constexpr size_t kMaxValues = 1 << 22;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json value = this->value(0);
    skip_space();
    if (i_ != text_.size()) fail("text after the document's end");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw JsonError(std::string("JSON: ") + what + " at byte " + std::to_string(i_));
  }

  void skip_space() {
    while (i_ < text_.size()) {
      const char c = text_[i_];
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') break;
      i_++;
    }
  }

  bool take(char c) {
    if (i_ >= text_.size() || text_[i_] != c) return false;
    i_++;
    return true;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(i_, word.size()) != word) return false;
    i_ += word.size();
    return true;
  }

  Json value(int depth) {
    if (depth > kMaxDepth) fail("nested too deep");
    if (++values_ > kMaxValues) fail("more than 4,194,304 values");
    skip_space();
    if (i_ >= text_.size()) fail("unexpected end");
    const char c = text_[i_];
    if (c == '{') return object(depth);
    if (c == '[') return array(depth);
    if (c == '"') return Json(string());
    if (c == '-' || (c >= '0' && c <= '9')) return Json(number());
    if (take_word("true")) return Json(true);
    if (take_word("false")) return Json(false);
    if (take_word("null")) return Json();
    fail("unexpected character");
  }

  Json object(int depth) {
    Json::Object members;
    i_++;
    skip_space();
    if (take('}')) return Json(std::move(members));
    do {
      skip_space();
      if (i_ >= text_.size() || text_[i_] != '"') fail("a key was expected");
      std::string key = string();
      skip_space();
      if (!take(':')) fail("':' was expected");
      members.push_back({std::move(key), value(depth + 1)});
      skip_space();
    } while (take(','));
    if (!take('}')) fail("'}' was expected");
    reject_duplicates(members);
    return Json(std::move(members));
  }

  void reject_duplicates(const Json::Object& members) const {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) {
      fail("an object has the same key twice, before the '}'");
    }
  }

  Json array(int depth) {
    Json::Array items;
    i_++;
    skip_space();
    if (take(']')) return Json(std::move(items));
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("']' was expected");
    return Json(std::move(items));
  }

  bool digits() {
    const size_t start = i_;
    while (i_ < text_.size() && text_[i_] >= '0' && text_[i_] <= '9') i_++;
    return i_ > start;
  }

  double number() {
    const size_t start = i_;
    take('-');
    if (!take('0') && !digits()) fail("a digit was expected");
    if (take('.') && !digits()) fail("a digit was expected");
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!digits()) fail("a digit was expected");
    }
    // strtod and not from_chars: libc++ learnt from_chars for double only recently. The text was
    // checked above, so the locale's decimal point is the only thing left to differ; Node and the
    // tests run in "C".
    const std::string copy(text_.substr(start, i_ - start));
    const double value = std::strtod(copy.c_str(), nullptr);
    if (!std::isfinite(value)) fail("a number out of range");
    return value;
  }

  char32_t hex4() {
    if (i_ + 4 > text_.size()) fail("four hexadecimal digits were expected");
    unsigned value = 0;
    const char* start = text_.data() + i_;
    if (std::from_chars(start, start + 4, value, 16).ptr != start + 4) {
      fail("four hexadecimal digits were expected");
    }
    i_ += 4;
    return value;
  }

  void escape(std::string& out) {
    if (i_ >= text_.size()) fail("unexpected end");
    switch (text_[i_++]) {
      case '"':
        out += '"';
        return;
      case '\\':
        out += '\\';
        return;
      case '/':
        out += '/';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        fail("an unknown escape");
    }
    char32_t c = hex4();
    if (c >= 0xDC00 && c <= 0xDFFF) fail("an unpaired surrogate");
    if (c >= 0xD800 && c <= 0xDBFF) {
      if (!take_word("\\u")) fail("an unpaired surrogate");
      const char32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("an unpaired surrogate");
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(out, c);
  }

  std::string string() {
    std::string out;
    i_++;
    while (true) {
      if (i_ >= text_.size()) fail("a string without an end");
      const unsigned char c = static_cast<unsigned char>(text_[i_]);
      if (c == '"') break;
      if (c < 0x20) fail("a control character in a string");
      if (c == '\\') {
        i_++;
        escape(out);
        continue;
      }
      const size_t length = utf8_length(text_, i_);
      if (length == 0) fail("invalid UTF-8");
      out.append(text_, i_, length);
      i_ += length;
    }
    i_++;
    return out;
  }

  std::string_view text_;
  size_t i_ = 0;
  size_t values_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) { return Parser(text).document(); }

Json::Json() : value_(nullptr) {}
Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json::Json(std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value)
    : value_(std::move(value)) {}

bool Json::boolean() const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  throw JsonError("true or false was expected");
}

double Json::number() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  throw JsonError("a number was expected");
}

int64_t Json::integer() const {
  const double value = number();
  if (value != std::floor(value) || std::abs(value) > 9007199254740992.0) {
    throw JsonError("a whole number was expected");
  }
  return static_cast<int64_t>(value);
}

const std::string& Json::string() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  throw JsonError("a string was expected");
}

const Json::Array& Json::array() const {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  throw JsonError("an array was expected");
}

const Json::Object& Json::object() const {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  throw JsonError("an object was expected");
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : object()) {
    if (member.key == key) return member.value.is_null() ? nullptr : &member.value;
  }
  return nullptr;
}

bool Json::has(std::string_view key) const {
  const Object& members = object();
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.key == key; });
}

const Json& Json::at(std::string_view key) const {
  if (const Json* value = find(key)) return *value;
  throw JsonError("\"" + std::string(key) + "\" is missing");
}

size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
  };
  const auto follows = [&](size_t at) { return (byte(at) & 0xC0u) == 0x80u; };
  const unsigned first = byte(i), second = byte(i + 1);
  if (i >= text.size()) return 0;
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !follows(i + 1)) return 0;
  if (first < 0xE0) return 2;
  if (!follows(i + 2)) return 0;
  if (first == 0xE0 && second < 0xA0) return 0;  // overlong
  if (first == 0xED && second > 0x9F) return 0;  // surrogates
  if (first < 0xF0) return 3;
  if (!follows(i + 3)) return 0;
  if (first == 0xF0 && second < 0x90) return 0;  // overlong
  if (first == 0xF4 && second > 0x8F) return 0;  // above U+10FFFF
  return 4;
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace ringside
