// Code points and sets of them. The classes are those of Hugging Face `tokenizers`, see
// test/native/make_unicode.py.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ringside {

constexpr char32_t kMaxCodePoint = 0x10FFFF;
constexpr char32_t kReplacementCharacter = 0xFFFD;

struct Character {
  char32_t code_point = 0;
  size_t length = 0;  // in bytes
};

Character character_beyond_ascii(std::string_view text, size_t i);

// The character at `i` (within `text`). A byte that is not UTF-8 is U+FFFD, one byte long.
inline Character character_at(std::string_view text, size_t i) {
  const auto byte = static_cast<unsigned char>(text[i]);
  if (byte < 0x80) return {byte, 1};
  return character_beyond_ascii(text, i);
}

class CodePointSet {
 public:
  struct Range {
    char32_t first = 0, last = 0;  // inclusive
  };

  CodePointSet() = default;
  // A general category ("Lu"), a group of them ("L"), or "Space", "Word" or "Numeric": what \s, \w
  // and the Digits step take. Nothing for another name.
  static std::optional<CodePointSet> named(std::string_view name);

  void add(char32_t first, char32_t last);
  void add(const CodePointSet& other);
  // Under (?i:): the other case of each ASCII letter in the set, and what else folds to it.
  void add_other_cases();
  void negate();

  bool contains(char32_t c) const {
    if (c < kLow) return low_[c / 64] >> (c % 64) & 1;
    return contains_high(c);
  }
  bool has_above_ascii() const { return !ranges_.empty() && ranges_.back().last >= 0x80; }

 private:
  static constexpr char32_t kLow = 0x800;  // these take one or two bytes in UTF-8: looked up

  bool contains_high(char32_t c) const;
  void set_ranges(std::vector<Range> ranges);  // in any order

  std::vector<Range> ranges_;  // sorted, disjoint
  std::array<uint64_t, kLow / 64> low_{};
};

}  // namespace ringside
