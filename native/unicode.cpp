#include "unicode.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "json.h"

namespace ringside {

namespace {

#include "unicode_tables.inc"

// The ranges of all categories whose names start with `prefix`.
std::vector<CodePointSet::Range> category_ranges(std::string_view prefix) {
  std::vector<CodePointSet::Range> ranges;
  for (size_t i = 0; i < std::size(kCategoryStarts); i++) {
    if (!kCategoryNames[kCategoryStarts[i] & 31].starts_with(prefix)) continue;
    const bool is_last = i + 1 == std::size(kCategoryStarts);
    const char32_t end = is_last ? kMaxCodePoint + 1 : kCategoryStarts[i + 1] >> 5;
    ranges.push_back({kCategoryStarts[i] >> 5, end - 1});
  }
  return ranges;
}

template <size_t kCategories, size_t kRanges>
std::vector<CodePointSet::Range> derived_ranges(const std::string_view (&categories)[kCategories],
                                                const CodePointSet::Range (&more)[kRanges]) {
  std::vector<CodePointSet::Range> ranges(std::begin(more), std::end(more));
  for (const std::string_view category : categories) {
    const auto members = category_ranges(category);
    ranges.insert(ranges.end(), members.begin(), members.end());
  }
  return ranges;
}

}  // namespace

Character character_beyond_ascii(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[i + k]); };
  const size_t length = utf8_length(text, i);
  if (length == 0) return {kReplacementCharacter, 1};
  char32_t c = byte(0) & (0x7Fu >> length);
  for (size_t k = 1; k < length; k++) c = c << 6 | (byte(k) & 0x3Fu);
  return {c, length};
}

std::optional<CodePointSet> CodePointSet::named(std::string_view name) {
  CodePointSet set;
  if (name == "Space") {
    set.set_ranges(derived_ranges(kSpaceCategories, kSpaceRanges));
  } else if (name == "Word") {
    set.set_ranges(derived_ranges(kWordCategories, kWordRanges));
  } else if (name == "Numeric") {
    set.set_ranges(derived_ranges(kDigitCategories, kDigitRanges));
  } else if (name.size() == 1 || name.size() == 2) {
    set.set_ranges(category_ranges(name));
  }
  if (set.ranges_.empty()) return std::nullopt;
  return set;
}

void CodePointSet::add(char32_t first, char32_t last) {
  std::vector<Range> ranges = ranges_;
  ranges.push_back({first, last});
  set_ranges(std::move(ranges));
}

void CodePointSet::add(const CodePointSet& other) {
  std::vector<Range> ranges = ranges_;
  ranges.insert(ranges.end(), other.ranges_.begin(), other.ranges_.end());
  set_ranges(std::move(ranges));
}

void CodePointSet::add_other_cases() {
  std::vector<Range> ranges = ranges_;
  const auto add_if = [&](bool has, char32_t c) {
    if (has) ranges.push_back({c, c});
  };
  for (char32_t lower = 'a'; lower <= 'z'; lower++) {
    const char32_t upper = lower - 'a' + 'A';
    add_if(contains(lower), upper);
    add_if(contains(upper), lower);
  }
  for (const auto& [letter, fold] : kFolds) {
    const char32_t lower = static_cast<unsigned char>(letter), upper = lower - 'a' + 'A';
    add_if(contains(lower) || contains(upper), fold);
    add_if(contains(fold), lower);
    add_if(contains(fold), upper);
  }
  set_ranges(std::move(ranges));
}

void CodePointSet::negate() {
  std::vector<Range> ranges;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) ranges.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kMaxCodePoint) ranges.push_back({next, kMaxCodePoint});
  set_ranges(std::move(ranges));
}

bool CodePointSet::contains_high(char32_t c) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), c,
                       [](char32_t c, const Range& range) { return c < range.first; });
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

void CodePointSet::set_ranges(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  ranges_.clear();
  for (const Range& range : ranges) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
  low_.fill(0);
  for (const Range& range : ranges_) {
    for (char32_t c = range.first; c <= range.last && c < kLow; c++) {
      low_[c / 64] |= uint64_t(1) << (c % 64);
    }
  }
}

}  // namespace ringside
