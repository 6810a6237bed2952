#include "json.h"

#include <doctest/doctest.h>

using namespace ringside;

namespace {

void check_string(const char* text, const char* expected) {
  CAPTURE(text);
  CHECK(Json::parse(text).string() == expected);
}

void check_fails(std::string text) {
  CAPTURE(text);
  CHECK_THROWS_AS(Json::parse(text), JsonError);
}

}  // namespace

TEST_CASE("json reads every kind of value") {
  const Json json = Json::parse(
      R"( {"a": [1, -2.5e1, true, false, null], "b": {"c": "d"}, "e": 9007199254740992} )");
  CHECK(json.at("a").array().size() == 5);
  CHECK(json.at("a").array()[1].number() == -25);
  CHECK(json.at("a").array()[2].boolean());
  CHECK(json.at("a").array()[4].is_null());
  CHECK(json.at("b").at("c").string() == "d");
  CHECK(json.at("e").integer() == 9007199254740992);
  CHECK(json.find("missing") == nullptr);
}

TEST_CASE("json resolves escapes") {
  check_string(R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t");
  check_string(R"("\u0041\u00e9\u65E5\ud83d\ude42")", "A\u00e9\u65e5\U0001f642");
  check_string("\"\xF0\x9F\x99\x82\"", "\U0001f642");
}

TEST_CASE("json rejects what is not strictly JSON") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[1,]",
                           "{\"a\":1,}",
                           "{\"a\" 1}",
                           "{a:1}",
                           "[1 2]",
                           "01",
                           "1.",
                           ".5",
                           "1e",
                           "+1",
                           "-",
                           "nul",
                           "truee",
                           "\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\n\"",
                           "1 1",
                           "1e999",
                           "{\"a\":1,\"a\":2}",
                           "'a'",
                           "\"\xC0\xAF\"",
                           "\"\xED\xA0\x80\"",
                           "\"\xF4\x90\x80\x80\"",
                           "\"\x80\"",
                           "\"\xE2\x82\""}) {
    check_fails(text);
  }
  check_fails(std::string(100000, '['));
}

TEST_CASE("json types are checked when asked for") {
  const Json json = Json::parse(R"({"half": 0.5, "text": "x"})");
  CHECK_THROWS_AS(json.at("half").integer(), JsonError);
  CHECK_THROWS_AS(json.at("text").number(), JsonError);
  CHECK_THROWS_AS(json.at("missing"), JsonError);
  CHECK_THROWS_AS(json.array(), JsonError);
}
