#include "regex.h"

#include <doctest/doctest.h>

#include "error.h"
#include "random_text.h"

using namespace ringside;

namespace {

// `marked`: a text with every match of `pattern` between < and >.
void check(const std::string& pattern, const std::string& marked) {
  CAPTURE(pattern);
  std::string text = marked, found;
  std::erase_if(text, [](char c) { return c == '<' || c == '>'; });
  std::vector<Regex::Match> matches;
  Regex(pattern).find_all(text, matches);
  size_t at = 0;
  for (const auto& [start, end] : matches) {
    found += text.substr(at, start - at) + "<" + text.substr(start, end - start) + ">";
    at = end;
  }
  CHECK(found + text.substr(at) == marked);
}

void check_refused(const std::string& pattern) {
  CAPTURE(pattern);
  try {
    compile_regex(pattern);
    FAIL("the pattern was accepted");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::model_unsupported);
    // As a message spells it: bytes that are no text are "?".
    const EngineError named(ErrorCode::model_unsupported, pattern.substr(0, 200));
    CHECK(std::string(error.what()).find(named.what()) != std::string::npos);
  }
}

// How many times more steps four times the text takes.
double growth(const std::string& pattern, const std::string& unit) {
  Regex regex(pattern);
  const auto steps = [&](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; i++) text += unit;
    std::vector<Regex::Match> matches;
    regex.find_all(text, matches);
    CHECK(regex.steps() <= regex.most_steps(text.size()));
    return double(regex.steps());
  };
  const double once = steps(1000);
  return steps(4000) / once;
}

}  // namespace

TEST_CASE("literals, classes and properties match code points") {
  check("ab", "<ab>a<ab>");
  check("[a-c-]", "<a><->d<c>");
  check("[^a-c]+", "a<de>b");
  check(R"([\]\\\-x])", "a<x><-><\\><]>");
  check(R"(\p{Lu}\p{Ll}*)", "a<\u00c9tat> <Ab>");
  check(R"(\P{L}+)", "a<1 >b\u65e5<2>");
  check(R"(\s)", "a<\u00a0><\u2003>b< ><\t>\u200b");
  check(R"(\x41\x{1F642}\u00e9)", "<A\U0001f642\u00e9>");
  check(".+", "<ab>\n<c>");
  check(R"(\w+\W)", "<a_1\u00e9 >.");
  check("\u65e5+", "\xe6<\u65e5\u65e5>\xa5");  // bytes that are not UTF-8 are no letters
  check(R"(\p{L}+)", "<a>\xff<b>");
}

TEST_CASE("repeats are greedy, lazy or possessive") {
  check("a?b", "<ab>a<ab><b>");
  check("a{2,3}", "a <aaa>a <aa>");
  check("a{2}", "<aa><aa>a");
  check("a{,2}b", "<b>a<aab>");
  check("a{2,}", "a <aaaaa>");
  check("a+?b??", "<a><a>b");
  check("a*ab", "<aaab>");
  check("a*+ab", "aaab");
  check("a++b", "<aab>");
  check("a?+ab", "a<aab>");
  check("(?:ab|a)(?:c|bcd)", "<abc>d");
  check("(?:ab)+a", "<ababa>b");
}

TEST_CASE("looks see ahead and consume nothing") {
  check(R"(\s+(?!\S))", "a<  > b< >");
  check("a(?=b)", "<a>b a");
  check("(?=.*1)a", "<a><a>1a");
  check("(?!ab)a.", "ab<ac>");
  check(R"(\s+$)", "a b<  >\nc< >");
  check("(?=1)|b", "a<>1<b>");
}

TEST_CASE("(?i:) folds ASCII letters, and what folds to them") {
  check("(?i:'s|'ll)x", "<'Sx> <'\u017fx> <'lLx> 'lX");
  check("(?i:[k-m])+", "<KL\u212am>n");
  check("(?i:a)a", "<Aa>AA");
}

TEST_CASE("what is not read is refused, and the message names the pattern") {
  for (const char* pattern : {"(",
                              ")",
                              "a)",
                              "[",
                              "[a",
                              "[]",
                              "[z-a]",
                              "[[a]b]",
                              "[a&&b]",
                              "*",
                              "a**",
                              "a{2}{3}",
                              "a{3,2}",
                              "a{x",
                              "^a",
                              "\\b",
                              "\\1",
                              "(a)\\1",
                              "(?<=a)b",
                              "(?<n>a)",
                              "(?>a)",
                              "(?i)a",
                              "\\p{Klingon}",
                              "\\pL",
                              "\\p{L",
                              "\\x{110000}",
                              "\\x{D800}",
                              "\\x80",
                              "\\xg",
                              "\\",
                              "(?:ab)++",
                              "(a*)*",
                              "(?:a|)+",
                              "(?=a)*",
                              "(?i:ss)",
                              "(?i:\u00e9)",
                              "(?i:\\p{Lu})",
                              "a{10000}",
                              "(?:(?:a{99}){99}){99}",
                              "\xff"}) {
    check_refused(pattern);
  }
  check_refused(std::string(9000, 'a'));
  check_refused(std::string(100, '(') + std::string(100, ')'));
}

TEST_CASE("no pattern and no text takes more than linear time") {
  // Each of these makes a backtracking matcher take quadratic or exponential time.
  for (const auto& [pattern, unit] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"(\s*x)", " "},
           {R"(\s+$|\s*[\r\n]+)", "  \u00a0"},
           {"(?:a+)+b", "a"},
           {"(?:a|a)+b", "a"},
           {"(?:a|ab|abab)+c", "ab"},
           {"a*a*a*a*a*b", "a"},
           {"a++b", "a"},
           {"a{20,}b", "a"},
           {"(?=a*b)a", "a"},
           {"(?=a*)b|a", "a"},
           {"(?!a*b)a", "a"},
           {"(?=(?:aaa)+(?!a))a", "a"},
           {R"((?=(\d{3})+(?!\d))\d)", "1"},
           {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lo}]*[\p{Ll}\p{Lo}]+|\p{Lu})", "A"}}) {
    CAPTURE(std::string(pattern));
    CHECK(growth(pattern, unit) < 4.5);  // 4, and what the ends add
  }
}

TEST_CASE("a matcher that has seen other texts finds the same") {
  const std::string pattern = R"(\s*[\r\n]+|\s+(?!\S)|(?=\w*\d)\p{L}+| ?[^\s\p{L}]+?\d|.)";
  Regex used(pattern);
  for (uint64_t seed = 0; seed < 300; seed++) {
    std::vector<Regex::Match> matches, fresh;
    used.find_all(random_text(seed), matches);
    Regex(pattern).find_all(random_text(seed), fresh);
    CHECK(matches == fresh);
  }
}
