#include "tokenizer_split.h"

#include <array>

#include "json.h"

namespace ringside {

namespace {

enum class Kind : uint8_t { letter, digit, line, blank, punctuation, control };

constexpr Kind kind_of(unsigned char c) {
  if (c >= 0x80 || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
    return Kind::letter;
  }
  if (c >= '0' && c <= '9') return Kind::digit;
  if (c == '\r' || c == '\n') return Kind::line;
  if (c == ' ' || c == '\t' || c == '\f' || c == '\v') return Kind::blank;
  return c > ' ' && c < 0x7F ? Kind::punctuation : Kind::control;
}

constexpr auto kKinds = [] {
  std::array<Kind, 256> kinds{};
  for (size_t c = 0; c < 256; c++) kinds[c] = kind_of(static_cast<unsigned char>(c));
  return kinds;
}();

// \xHH, \uHHHH, \UHHHHHHHH, \x{H...} and \t \r \n \f \v become the characters they stand for: the
// same pattern can be spelled in all these ways.
std::string resolve_escapes(std::string_view pattern) {
  std::string out;
  const auto hex = [&](size_t at, size_t length) {
    return static_cast<char32_t>(
        std::strtoul(std::string(pattern.substr(at, length)).c_str(), nullptr, 16));
  };
  for (size_t i = 0; i < pattern.size(); i++) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    const size_t brace = pattern.find('}', i);
    constexpr std::string_view kNames = "trnfv", kValues = "\t\r\n\f\v";
    if (pattern[i] != '\\' || next == '\0') {
      out += pattern[i];
    } else if (next == 'x' && pattern.substr(i + 2, 1) == "{" && brace != pattern.npos) {
      append_utf8(out, hex(i + 3, brace - i - 3));
      i = brace;
    } else if (next == 'x' || next == 'u' || next == 'U') {
      const size_t length = next == 'x' ? 2 : next == 'u' ? 4 : 8;
      append_utf8(out, hex(i + 2, length));
      i += 1 + length;
    } else if (const size_t name = kNames.find(next); name != kNames.npos) {
      out += kValues[name];
      i++;
    } else {
      out += pattern[i];
      out += next;
      i++;
    }
  }
  return out;
}

bool is_ringside(const std::vector<SplitStep>& steps) {
  return steps.size() == 1 && steps[0].behavior == SplitStep::Behavior::isolated &&
         !steps[0].invert && resolve_escapes(steps[0].pattern) == resolve_escapes(kRingsidePattern);
}

}  // namespace

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

const std::string_view kRingsidePattern =
    R"( ?[A-Za-z_\u0080-\x{10FFFF}]+|[0-9]|[\r\n]+[ \t]*)"
    R"(| ?[!-/:-@\[-^`{-~]+|[ \t\f\v]+|[\x00-\x08\x0e-\x1f\x7f])";

size_t piece_length(std::string_view text) {
  const auto kind = [&](size_t i) { return kKinds[static_cast<unsigned char>(text[i])]; };
  const auto run = [&](size_t i, Kind wanted) {
    while (i < text.size() && kind(i) == wanted) i++;
    return i;
  };
  const bool space = text[0] == ' ' && text.size() > 1;
  const Kind first = kind(space ? 1 : 0);
  if (first == Kind::letter || first == Kind::punctuation) return run(space ? 1 : 0, first);
  switch (kind(0)) {
    case Kind::blank:
      return run(0, Kind::blank);
    case Kind::line: {
      size_t end = run(0, Kind::line);
      while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) end++;
      return end;
    }
    default:
      return 1;  // a digit, or a control character
  }
}

Splitter::Splitter(const std::vector<SplitStep>& steps) : is_ringside_(is_ringside(steps)) {
  if (is_ringside_) return;
  for (const SplitStep& step : steps) {
    steps_.push_back({Regex(step.pattern), step.behavior, step.invert});
  }
}

const std::vector<std::string_view>& Splitter::split(std::string_view text) {
  pieces_.clear();
  if (is_ringside_) {
    while (!text.empty()) {
      pieces_.push_back(text.substr(0, piece_length(text)));
      text.remove_prefix(pieces_.back().size());
    }
    return pieces_;
  }
  if (!text.empty()) pieces_.push_back(text);
  for (Step& step : steps_) {
    next_.clear();
    for (const std::string_view piece : pieces_) apply(step, piece);
    std::erase_if(next_, [](std::string_view piece) { return piece.empty(); });
    pieces_.swap(next_);
  }
  return pieces_;
}

// Appends the pieces of `text` to next_. A step never sees beyond the piece that it cuts.
void Splitter::apply(Step& step, std::string_view text) {
  using Behavior = SplitStep::Behavior;
  matches_.clear();
  step.regex.find_all(text, matches_);
  const size_t first = next_.size();
  bool previous_found = false;  // the part before this one was a match
  const auto grow = [&](std::string_view part) {
    std::string_view& last = next_.back();
    last = std::string_view(last.data(), last.size() + part.size());
  };
  const auto add = [&](size_t start, size_t end, bool matched) {
    if (start == end && !matched) return;
    const std::string_view part = text.substr(start, end - start);
    const bool found = matched != step.invert;
    const bool any = next_.size() > first;
    switch (step.behavior) {
      case Behavior::removed:
        if (!found) next_.push_back(part);
        break;
      case Behavior::isolated:
        next_.push_back(part);
        break;
      case Behavior::merged_with_previous:
        (found && any && !previous_found) ? grow(part) : next_.push_back(part);
        break;
      case Behavior::merged_with_next:
        (!found && any && previous_found) ? grow(part) : next_.push_back(part);
        break;
      case Behavior::contiguous:
        (any && previous_found == found) ? grow(part) : next_.push_back(part);
        break;
    }
    previous_found = found;
  };
  size_t end = 0;
  for (const Regex::Match& match : matches_) {
    add(end, match.start, false);
    add(match.start, match.end, true);
    end = match.end;
  }
  add(end, text.size(), false);
}

}  // namespace ringside
