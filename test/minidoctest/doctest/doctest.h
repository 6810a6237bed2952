// The part of doctest that our tests use, for computers that lack it and can't install it: the same
// macros, the same -tc filter and the same last lines. Where doctest is installed it is used
// instead. What differs: names go out as each test case ends, with its seconds, and of a test
// case's failures only the first few are printed.
#pragma once

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"  // tests compare sizes with literals
#endif

namespace doctest {

// Equal within epsilon * (scale + the larger of the two).
class Approx {
 public:
  explicit Approx(double value) : value_(value) {}
  Approx& epsilon(double epsilon) { return epsilon_ = epsilon, *this; }
  Approx& scale(double scale) { return scale_ = scale, *this; }

  bool equals(double other) const {
    const double larger = std::max(std::fabs(other), std::fabs(value_));
    return std::fabs(other - value_) < epsilon_ * (scale_ + larger);
  }
  friend std::ostream& operator<<(std::ostream& out, const Approx& approx) {
    return out << "Approx( " << approx.value_ << " )";
  }

 private:
  double value_;
  double epsilon_ = double(std::numeric_limits<float>::epsilon()) * 100;
  double scale_ = 1;
};

template <typename T>
concept Number = std::is_arithmetic_v<T>;
bool operator==(Number auto a, const Approx& b) { return b.equals(double(a)); }
bool operator==(const Approx& a, Number auto b) { return a.equals(double(b)); }

// A text that the message of an exception must have in it.
class Contains {
 public:
  explicit Contains(std::string part) : part_(std::move(part)) {}
  bool matches(const std::string& text) const { return text.find(part_) != std::string::npos; }

 private:
  std::string part_;
};

namespace detail {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

template <typename T>
std::string text_of(const T& value) {
  std::ostringstream out;
  out.precision(9);
  if constexpr (std::is_same_v<T, bool>) {
    out << (value ? "true" : "false");
  } else if constexpr (Printable<T>) {
    out << value;
  } else if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else {
    out << "{?}";
  }
  return out.str();
}

struct Ended {};  // thrown by REQUIRE and FAIL

struct TestCase {
  const char* file;
  int line;
  const char* name;
  void (*run)();
};

struct State {
  std::vector<TestCase> cases;
  std::vector<std::string> captured;  // innermost last
  std::vector<std::string> unwound;   // captured when an exception came by
  int checks = 0, failed_checks = 0;
  int failures_here = 0;  // of the test case that runs
  const TestCase* now = nullptr;
};
inline State& state() {
  static State state;
  return state;
}

struct Registered {
  Registered(const char* file, int line, const char* name, void (*run)()) {
    state().cases.push_back({file, line, name, run});
  }
};

constexpr int kPrinted = 5;  // failures of a test case

inline void fail(const char* file, int line, const std::string& what) {
  State& s = state();
  s.failed_checks++;
  if (++s.failures_here > kPrinted) return;
  std::cout << file << ":" << line << ": ERROR in \"" << s.now->name << "\"\n  " << what << "\n";
  const auto& logged = s.captured.empty() ? s.unwound : s.captured;
  for (const std::string& text : logged) std::cout << "  logged: " << text << "\n";
  std::cout << std::flush;
}

class Capture {
 public:
  explicit Capture(std::string text) : exceptions_(std::uncaught_exceptions()) {
    state().captured.push_back(std::move(text));
  }
  ~Capture() {
    State& s = state();
    if (std::uncaught_exceptions() > exceptions_) {
      s.unwound.insert(s.unwound.begin(), s.captured.back());
    }
    s.captured.pop_back();
  }
  Capture(const Capture&) = delete;  // one pop for each push

 private:
  int exceptions_;
};

struct Outcome {
  bool holds;
  std::string values;  // of what was compared; "": nothing
};

template <typename L, typename R>
Outcome outcome(bool holds, const L& left, const char* sign, const R& right) {
  if (holds) return {true, ""};
  return {false, text_of(left) + sign + text_of(right)};
}

// The left side of a comparison, so that a failure can say what was compared.
template <typename L>
struct Left {
  const L& value;

  template <typename R>
  Outcome operator==(const R& right) const {
    return outcome(bool(value == right), value, " == ", right);
  }
  template <typename R>
  Outcome operator!=(const R& right) const {
    return outcome(bool(value != right), value, " != ", right);
  }
  template <typename R>
  Outcome operator<(const R& right) const {
    return outcome(bool(value < right), value, " < ", right);
  }
  template <typename R>
  Outcome operator<=(const R& right) const {
    return outcome(bool(value <= right), value, " <= ", right);
  }
  template <typename R>
  Outcome operator>(const R& right) const {
    return outcome(bool(value > right), value, " > ", right);
  }
  template <typename R>
  Outcome operator>=(const R& right) const {
    return outcome(bool(value >= right), value, " >= ", right);
  }
  operator Outcome() const {  // NOLINT: an expression that compares nothing
    return {static_cast<bool>(value), ""};
  }
};
struct Decompose {
  template <typename L>
  Left<L> operator<<(const L& value) const {
    return {value};
  }
};

inline void report(bool ends, bool expected, const char* file, int line, const char* text,
                   const Outcome& outcome) {
  state().checks++;
  if (outcome.holds == expected) return;
  const std::string values = outcome.values.empty() ? "" : "\n  values: " + outcome.values;
  fail(file, line,
       std::string(ends ? "REQUIRE" : "CHECK") + (expected ? "( " : "_FALSE( ") + text +
           " ) is NOT correct!" + values);
  if (ends) throw Ended();
}

// Of the exception that is being handled.
inline std::string text_of_exception() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an unknown exception";
  }
}

inline void report_thrown(bool ends, const char* file, int line, const char* text) {
  state().checks++;
  fail(file, line, std::string("( ") + text + " ) THREW: " + text_of_exception());
  if (ends) throw Ended();
}

// Checks that `body` throws an E; its message must have `part` in it.
template <typename E, typename Body>
void check_throws(const char* file, int line, const char* text, const Contains& part,
                  const Body& body) {
  State& s = state();
  s.checks++;
  try {
    body();
  } catch (const E& error) {
    if constexpr (std::is_base_of_v<std::exception, E>) {
      if (!part.matches(error.what())) {
        fail(file, line, std::string("( ") + text + " ) threw: " + error.what());
      }
    }
    s.unwound.clear();
    return;
  } catch (...) {
    fail(file, line, std::string("( ") + text + " ) threw another type: " + text_of_exception());
    s.unwound.clear();
    return;
  }
  fail(file, line, std::string("( ") + text + " ) did NOT throw at all!");
}

// `pattern` may have * for any text and ? for any character. Letters of either case are the same.
inline bool matches(const char* text, const char* pattern) {
  for (; *pattern != '\0'; text++, pattern++) {
    if (*pattern == '*') {
      do {
        if (matches(text, pattern + 1)) return true;
      } while (*text++ != '\0');
      return false;
    }
    if (*text == '\0') return false;
    if (*pattern != '?' && std::tolower(static_cast<unsigned char>(*text)) !=
                               std::tolower(static_cast<unsigned char>(*pattern)))
      return false;
  }
  return *text == '\0';
}

// Patterns with commas between them; "\," is a comma.
inline std::vector<std::string> patterns_of(const char* list) {
  std::vector<std::string> patterns(1);
  for (; *list != '\0'; list++) {
    if (*list == '\\' && list[1] == ',') {
      patterns.back() += *++list;
    } else if (*list == ',') {
      patterns.emplace_back();
    } else {
      patterns.back() += *list;
    }
  }
  return patterns;
}

struct Filters {
  std::vector<std::string> run, leave;  // run empty: all
  bool lists = false;

  Filters(int argc, char** argv) {
    for (int i = 1; i < argc; i++) {
      const std::string word = argv[i];
      const auto value = [&](std::string_view name) -> const char* {
        return word.starts_with(name) ? argv[i] + name.size() : nullptr;
      };
      for (const char* name : {"-tc=", "--tc=", "-test-case=", "--test-case="})
        if (value(name) != nullptr) run = patterns_of(value(name));
      for (const char* name : {"-tce=", "--tce=", "-test-case-exclude=", "--test-case-exclude="})
        if (value(name) != nullptr) leave = patterns_of(value(name));
      lists = lists || word == "-ltc" || word == "--list-test-cases";
    }
  }
  bool pass(const char* name) const {
    const auto any = [&](const std::vector<std::string>& patterns) {
      return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return matches(name, pattern.c_str());
      });
    };
    return (run.empty() || any(run)) && !any(leave);
  }
};

// Whether it passed.
inline bool run_case(const TestCase& test) {
  State& s = state();
  s.now = &test;
  s.failures_here = 0;
  s.unwound.clear();
  const auto start = std::chrono::steady_clock::now();
  try {
    test.run();
  } catch (const Ended&) {
  } catch (...) {
    s.checks++;
    fail(test.file, test.line, "test case THREW exception: " + text_of_exception());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (s.failures_here > kPrinted) {
    std::printf("  and %d failures more\n", s.failures_here - kPrinted);
  }
  std::printf("%s%8.3f s: %s\n", s.failures_here > 0 ? "FAILED " : "", took.count(), test.name);
  std::fflush(stdout);
  return s.failures_here == 0;
}

inline int run_all(int argc, char** argv) {
  const Filters filters(argc, argv);
  State& s = state();
  std::stable_sort(s.cases.begin(), s.cases.end(), [](const TestCase& a, const TestCase& b) {
    return std::tuple(std::string_view(a.file), a.line) <
           std::tuple(std::string_view(b.file), b.line);
  });
  int run = 0, failed = 0, left = 0;
  for (const TestCase& test : s.cases) {
    if (!filters.pass(test.name)) {
      left++;
    } else if (filters.lists) {
      std::printf("%s\n", test.name);
    } else {
      run++;
      failed += run_case(test) ? 0 : 1;
    }
  }
  if (filters.lists) return 0;
  std::printf("[doctest] test cases: %d | %d passed | %d failed | %d skipped\n", run, run - failed,
              failed, left);
  std::printf("[doctest] assertions: %d | %d passed | %d failed |\n", s.checks,
              s.checks - s.failed_checks, s.failed_checks);
  std::printf("[doctest] Status: %s!\n", failed == 0 ? "SUCCESS" : "FAILURE");
  return failed == 0 ? 0 : 1;
}

}  // namespace detail
}  // namespace doctest

#define MINIDOCTEST_JOIN_(a, b) a##b
#define MINIDOCTEST_JOIN(a, b) MINIDOCTEST_JOIN_(a, b)
#define MINIDOCTEST_NAME(stem) MINIDOCTEST_JOIN(stem, __LINE__)

#define TEST_CASE(name)                                                                 \
  static void MINIDOCTEST_NAME(minidoctest_case_)();                                    \
  static const ::doctest::detail::Registered MINIDOCTEST_NAME(minidoctest_registered_)( \
      __FILE__, __LINE__, name, MINIDOCTEST_NAME(minidoctest_case_));                   \
  static void MINIDOCTEST_NAME(minidoctest_case_)()

#define MINIDOCTEST_CHECK(ends, expected, ...)                                    \
  do {                                                                            \
    try {                                                                         \
      ::doctest::detail::report(ends, expected, __FILE__, __LINE__, #__VA_ARGS__, \
                                ::doctest::detail::Decompose() << __VA_ARGS__);   \
    } catch (const ::doctest::detail::Ended&) {                                   \
      throw;                                                                      \
    } catch (...) {                                                               \
      ::doctest::detail::report_thrown(ends, __FILE__, __LINE__, #__VA_ARGS__);   \
    }                                                                             \
  } while (false)

#define CHECK(...) MINIDOCTEST_CHECK(false, true, __VA_ARGS__)
#define CHECK_FALSE(...) MINIDOCTEST_CHECK(false, false, __VA_ARGS__)
#define REQUIRE(...) MINIDOCTEST_CHECK(true, true, __VA_ARGS__)

#define CHECK_THROWS_WITH_AS(expression, part, ...)                  \
  ::doctest::detail::check_throws<std::remove_cvref_t<__VA_ARGS__>>( \
      __FILE__, __LINE__, #expression, part, [&] { static_cast<void>(expression); })
#define CHECK_THROWS_AS(expression, ...) \
  CHECK_THROWS_WITH_AS(expression, ::doctest::Contains(""), __VA_ARGS__)

#define CAPTURE(value)                                                     \
  const ::doctest::detail::Capture MINIDOCTEST_NAME(minidoctest_capture_)( \
      std::string(#value " := ") + ::doctest::detail::text_of(value))

#define MINIDOCTEST_TEXT(...) \
  [&] {                       \
    std::ostringstream text;  \
    text << __VA_ARGS__;      \
    return text.str();        \
  }()
#define MESSAGE(...)                                                                          \
  (std::cout << __FILE__ << ":" << __LINE__ << ": MESSAGE: " << MINIDOCTEST_TEXT(__VA_ARGS__) \
             << std::endl)
#define FAIL_CHECK(...)                 \
  (::doctest::detail::state().checks++, \
   ::doctest::detail::fail(__FILE__, __LINE__, MINIDOCTEST_TEXT(__VA_ARGS__)))
#define FAIL(...)                     \
  do {                                \
    FAIL_CHECK(__VA_ARGS__);          \
    throw ::doctest::detail::Ended(); \
  } while (false)

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#if defined(DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN)
int main(int argc, char** argv) { return doctest::detail::run_all(argc, argv); }
#endif
