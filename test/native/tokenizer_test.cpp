#include "tokenizer.h"

#include <doctest/doctest.h>

#include <random>

#include "error.h"
#include "json.h"
#include "mapping.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

std::string tokenizer_json() { return read_text(fixtures() / "tiny" / "tokenizer.json"); }

std::vector<Token> encode(Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> tokens;
  tokenizer.encode(text, tokens);
  return tokens;
}

std::string decode(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  TextDecoder decoder(tokenizer);
  std::string text;
  for (const Token token : tokens) text += decoder.decode(token);
  return text + decoder.finish();
}

// The bar is where pieces end.
void check_pieces(const std::string& barred) {
  std::string text = barred, found;
  std::erase(text, '|');
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = piece_length(rest);
    found += std::string(rest.substr(0, length)) + (length < rest.size() ? "|" : "");
    rest.remove_prefix(length);
  }
  CHECK(found == barred);
}

void check_refused(const std::string& from, const std::string& to, ErrorCode code) {
  CAPTURE(from);
  std::string text = tokenizer_json();
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  try {
    Tokenizer(text, "tokenizer.json");
    FAIL("the tokenizer was accepted");
  } catch (const EngineError& error) {
    CHECK(std::string(name_of(error.code())) == name_of(code));
  }
}

}  // namespace

TEST_CASE("text is split into pieces as the pattern says") {
  check_pieces("def| check|(|value|):|\n    |return| x|1|2");
  check_pieces("a|   |b| c");
  check_pieces("a|\r\n\r\n\t |\f|b_c|9");
  check_pieces(" !=|\t|!=| _x| |1");
  check_pieces("caf\u00e9| \u65e5\u672c|.|\x01|\x7f|\v\t ");
}

TEST_CASE("tokens are those of Hugging Face tokenizers") {
  Tokenizer tokenizer(tokenizer_json(), "tokenizer.json");
  const Json encodings = Json::parse(read_text(fixtures() / "encodings.json"));
  CHECK(encodings.array().size() >= 10);
  for (int again = 0; again < 2; again++) {  // the second time from the cache of pieces
    for (const Json& encoding : encodings.array()) {
      CAPTURE(encoding.at("text").string());
      std::vector<Token> expected;
      for (const Json& token : encoding.at("tokens").array())
        expected.push_back(int(token.integer()));
      CHECK(encode(tokenizer, encoding.at("text").string()) == expected);
    }
  }
}

TEST_CASE("text never encodes to special tokens") {
  Tokenizer tokenizer(tokenizer_json(), "tokenizer.json");
  REQUIRE(tokenizer.special_tokens().size() == 5);
  for (const auto& [content, id] : tokenizer.special_tokens()) {
    for (const Token token : encode(tokenizer, "x" + content + "y"))
      CHECK(!tokenizer.is_special(token));
    CHECK(decode(tokenizer, {id}) == "");
  }
}

TEST_CASE("decode(encode(x)) is x for any valid text, and any bytes encode") {
  Tokenizer tokenizer(tokenizer_json(), "tokenizer.json");
  std::mt19937 random(1);
  const char32_t limits[] = {0x80, 0x800, 0xD800, 0x110000};
  for (int i = 0; i < 500; i++) {
    std::string text, bytes;
    for (size_t n = random() % 40; n > 0; n--) {
      char32_t c = random() % limits[random() % 4];
      if (c >= 0xD800 && c < 0xE000) c = ' ';
      append_utf8(text, c);
      bytes += char(random() % 256);
    }
    CHECK(decode(tokenizer, encode(tokenizer, text)) == text);
    std::string joined;
    for (const Token token : encode(tokenizer, bytes)) joined += tokenizer.bytes(token);
    CHECK(joined == bytes);
  }
}

TEST_CASE("the decoder holds back incomplete characters and replaces impossible bytes") {
  Tokenizer tokenizer(tokenizer_json(), "tokenizer.json");
  const auto byte = [&](unsigned char c) { return encode(tokenizer, std::string(1, char(c)))[0]; };
  TextDecoder decoder(tokenizer);
  CHECK(decoder.decode(byte(0xF0)) == "");
  CHECK(decoder.decode(byte(0x9F)) == "");
  CHECK(decoder.decode(byte(0x99)) == "");
  CHECK(decoder.decode(byte(0x82)) == "\U0001f642");
  CHECK(decoder.decode(byte(0xE2)) == "");
  CHECK(decoder.decode(byte('a')) == "\uFFFDa");
  CHECK(decoder.decode(byte(0xFF)) == "\uFFFD");
  CHECK(decoder.decode(byte(0xC3)) == "");
  CHECK(decoder.finish() == "\uFFFD");
  CHECK(decoder.finish() == "");
}

TEST_CASE("another kind of tokenizer is refused") {
  check_refused("[0-9]", "[0-9]+", ErrorCode::model_unsupported);
  check_refused("\"Isolated\"", "\"Removed\"", ErrorCode::model_unsupported);
  check_refused("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}",
                ErrorCode::model_unsupported);
  check_refused("\"type\":\"BPE\"", "\"type\":\"Unigram\"", ErrorCode::model_unsupported);
  check_refused("\"dropout\":null", "\"dropout\":0.1", ErrorCode::model_unsupported);
  check_refused("\"byte_fallback\":false", "\"byte_fallback\":true", ErrorCode::model_unsupported);
  check_refused("\"use_regex\":false", "\"use_regex\":true", ErrorCode::model_unsupported);
  check_refused("\"!\":", "\"\u65e5\":", ErrorCode::model_corrupt);
  check_refused("\"merges\":[", "\"merges\":[[\"zq\",\"x\"],", ErrorCode::model_corrupt);
  check_refused("\"!\":5", "\"!\":-5", ErrorCode::model_corrupt);
}
