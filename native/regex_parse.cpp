#include "regex_parse.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "error.h"
#include "json.h"

namespace ringside {

namespace {

using Node = RegexNode;

constexpr size_t kMaxPattern = 8192;  // bytes; the longest in use has 1,100
constexpr int kMaxDepth = 32;         // of groups; those in use have 3

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern) {
    if (pattern.size() > kMaxPattern) fail("it is too long");
  }

  Node parse() {
    Node node = alternatives(0);
    if (!at_end()) fail("an unmatched )");
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { fail_regex(pattern_, i_, what); }

  bool at_end() const { return i_ >= pattern_.size(); }
  char peek() const { return at_end() ? '\0' : pattern_[i_]; }

  bool take(std::string_view text) {
    if (pattern_.substr(i_, text.size()) != text) return false;
    i_ += text.size();
    return true;
  }

  char32_t take_character() {
    if (at_end()) fail("it ends too early");
    if (utf8_length(pattern_, i_) == 0) fail("it is not UTF-8");
    const Character c = character_at(pattern_, i_);
    i_ += c.length;
    return c.code_point;
  }

  Node alternatives(int depth) {
    if (depth > kMaxDepth) fail("its groups are nested too deep");
    Node node{.kind = Node::Kind::alternatives};
    do node.children.push_back(sequence(depth));
    while (take("|"));
    if (node.children.size() > 1) return node;
    return std::move(node.children[0]);
  }

  Node sequence(int depth) {
    Node node;
    char previous = '\0';  // the letter before, under (?i:)
    while (!at_end() && peek() != '|' && peek() != ')') {
      const char letter = peek();
      if (ignore_case_) check_fold(previous, letter);
      previous = letter;
      node.children.push_back(repeat(atom(depth)));
    }
    return node;
  }

  // Some pairs of letters fold to one character (ss to \u00df), which is not done here.
  void check_fold(char a, char b) const {
    const auto is = [](char c, char lower) { return (c | 0x20) == lower; };
    const bool folds = (is(a, 's') && (is(b, 's') || is(b, 't'))) ||
                       (is(a, 'f') && (is(b, 'f') || is(b, 'i') || is(b, 'l')));
    if (folds) fail("these letters fold to one character under (?i:)");
  }

  Node atom(int depth) {
    if (take("(")) return group(depth);
    if (take("[")) return set_node(char_class());
    if (take("\\")) return set_node(escape());
    if (take("$")) return Node{.kind = Node::Kind::line_end};
    if (take(".")) {
      CodePointSet set;
      set.add('\n', '\n');
      set.negate();
      return set_node(set);
    }
    if (std::string_view("*+?{^").find(peek()) != std::string_view::npos) {
      fail(std::string(1, peek()) + " is not read here");
    }
    return set_node(literal(take_character()));
  }

  Node set_node(CodePointSet set) {
    Node node{.kind = Node::Kind::set};
    node.set = std::move(set);
    return node;
  }

  CodePointSet literal(char32_t c) {
    CodePointSet set;
    set.add(c, c);
    if (ignore_case_) fold(set);
    return set;
  }

  void fold(CodePointSet& set) {
    if (set.has_above_ascii()) fail("(?i:) is read over ASCII only");
    set.add_other_cases();
  }

  Node group(int depth) {
    const bool outer = ignore_case_;
    Node node;
    if (take("?=") || take("?!")) {
      node.kind = Node::Kind::look;
      node.negated = pattern_[i_ - 1] == '!';
      node.children.push_back(alternatives(depth + 1));
    } else {
      if (take("?i:")) {
        ignore_case_ = true;
      } else if (!take("?:") && peek() == '?') {
        fail("this kind of group is not read");
      }
      node = alternatives(depth + 1);
    }
    ignore_case_ = outer;
    if (!take(")")) fail("a group is not closed");
    return node;
  }

  Node repeat(Node node) {
    int min = 0, max = kUnlimited;
    const bool counted = peek() == '{';
    if (take("{")) {
      min = number(0);
      max = take(",") ? number(kUnlimited) : min;
      if (!take("}") || (max != kUnlimited && max < min)) fail("a count is wrong");
    } else if (take("?")) {
      max = 1;
    } else if (take("+")) {
      min = 1;
    } else if (!take("*")) {
      return node;
    }
    Node out{.kind = Node::Kind::repeat, .min = min, .max = max};
    // After a count, Oniguruma's + repeats it and its ? makes it optional or lazy, as it happens.
    if (!counted && take("?")) out.greed = Node::Greed::lazy;
    if (!counted && out.greed == Node::Greed::greedy && take("+")) {
      out.greed = Node::Greed::possessive;
      if (node.kind != Node::Kind::set) fail("a group is repeated possessively");
    }
    if (std::string_view("*+?{").find(peek()) != std::string_view::npos && !at_end()) {
      fail("a repeat is repeated");
    }
    if (nullable(node)) fail("what may be empty is repeated");
    out.children.push_back(std::move(node));
    return out;
  }

  int number(int absent) {
    const size_t start = i_;
    int value = 0;
    while (peek() >= '0' && peek() <= '9' && value < 10000)
      value = value * 10 + (pattern_[i_++] - '0');
    return i_ == start ? absent : value;
  }

  static bool nullable(const Node& node) {
    switch (node.kind) {
      case Node::Kind::set:
        return false;
      case Node::Kind::sequence:
        return std::all_of(node.children.begin(), node.children.end(), nullable);
      case Node::Kind::alternatives:
        return std::any_of(node.children.begin(), node.children.end(), nullable);
      case Node::Kind::repeat:
        return node.min == 0 || nullable(node.children[0]);
      default:
        return true;
    }
  }

  // After a [.
  CodePointSet char_class() {
    const bool negated = take("^");
    CodePointSet set;
    bool has_named = false;
    if (peek() == ']') fail("a class is empty");
    while (!take("]")) {
      if (peek() == '[' || pattern_.substr(i_, 2) == "&&") fail("sets of sets are not read");
      char32_t first = 0;
      if (take("\\")) {
        if (const auto named = named_set()) {
          set.add(*named);
          has_named = true;
          continue;
        }
        first = escaped_character();
      } else {
        first = take_character();
      }
      char32_t last = first;
      if (peek() == '-' && pattern_.substr(i_ + 1, 1) != "]") {
        i_++;
        if (take("\\")) {
          if (named_set()) fail("a range ends in a class");
          last = escaped_character();
        } else {
          if (peek() == '[') fail("sets of sets are not read");
          last = take_character();
        }
      }
      if (last < first) fail("a range goes backwards");
      set.add(first, last);
    }
    if (ignore_case_) {
      if (has_named) fail("(?i:) is read over ASCII only");
      fold(set);
    }
    if (negated) set.negate();
    return set;
  }

  // After a \.
  CodePointSet escape() {
    if (auto named = named_set()) return *std::move(named);
    return literal(escaped_character());
  }

  // \s \d \w \p{..} and their negations; nothing for other escapes.
  std::optional<CodePointSet> named_set() {
    const char kind = peek();
    std::string_view name;
    if (kind == 'p' || kind == 'P') {
      if (ignore_case_) fail("(?i:) is read over ASCII only");
      i_++;
      const size_t end = take("{") ? pattern_.find('}', i_) : std::string_view::npos;
      if (end == std::string_view::npos) fail("a property has no name");
      name = pattern_.substr(i_, end - i_);
      i_ = end + 1;
    } else {
      constexpr std::string_view kKinds = "sSdDwW";
      constexpr std::string_view kNames[] = {"Space", "Space", "Nd", "Nd", "Word", "Word"};
      const size_t known = at_end() ? std::string_view::npos : kKinds.find(kind);
      if (known == std::string_view::npos) return std::nullopt;
      name = kNames[known];
      i_++;
    }
    auto set = CodePointSet::named(name);
    if (!set) fail("the property " + std::string(name) + " is not known");
    if (kind == 'P' || kind == 'S' || kind == 'D' || kind == 'W') set->negate();
    return set;
  }

  char32_t escaped_character() {
    const char kind = peek();
    constexpr std::string_view kNames = "trnfva", kValues = "\t\r\n\f\v\a";
    if (take("x{")) {
      const char32_t c = hex(8);
      if (!take("}")) fail("an escape is not closed");
      return c;
    }
    if (take("x")) return hex(2);
    if (take("u")) return hex(4);
    const char32_t c = take_character();
    if (const size_t name = kNames.find(kind); name != kNames.npos) return char32_t(kValues[name]);
    const bool word =
        c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (word) fail("this escape is not read");
    return c;
  }

  char32_t hex(size_t longest) {
    const size_t start = i_;
    char32_t c = 0;
    for (; i_ - start < longest && std::isxdigit(static_cast<unsigned char>(peek())); i_++) {
      const char digit = peek();
      c = c << 4 | char32_t(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    const bool byte = longest == 2 && c >= 0x80;  // to Oniguruma a byte, not a code point
    if (i_ == start || c > kMaxCodePoint || surrogate || byte) fail("an escape is wrong");
    return c;
  }

  std::string_view pattern_;
  size_t i_ = 0;
  bool ignore_case_ = false;
};

}  // namespace

RegexNode parse_regex(std::string_view pattern) { return Parser(pattern).parse(); }

void fail_regex(std::string_view pattern, size_t at, const std::string& what) {
  throw EngineError(ErrorCode::model_unsupported,
                    "The regular expression " + std::string(pattern.substr(0, 200)) +
                        " cannot be used, at byte " + std::to_string(at) + ": " + what +
                        ". Choose a model whose tokenizer splits text otherwise.");
}

}  // namespace ringside
