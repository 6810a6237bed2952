#include "tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include "error.h"
#include "gguf_fields.h"
#include "json.h"
#include "mapping.h"
#include "random_text.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

std::string tokenizer_json() { return read_text(fixtures() / "tiny" / "tokenizer.json"); }

std::string family_json(const std::string& name) {
  return read_text(fixtures() / "tokenizers" / (name + ".json"));
}

std::vector<Token> encode(Tokenizer& tokenizer, std::string_view text, bool at_start = true) {
  std::vector<Token> tokens;
  tokenizer.encode(text, tokens, at_start);
  return tokens;
}

std::string joined_bytes(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  std::string joined;
  for (const Token token : tokens) joined += tokenizer.bytes(token);
  return joined;
}

// One FNV-1a hash of the tokens of each 50 random texts, as make_encodings.py hashes them.
std::vector<std::string> hashes(Tokenizer& tokenizer, size_t blocks) {
  std::vector<std::string> out;
  for (size_t block = 0; block < blocks; block++) {
    uint64_t value = 0xCBF29CE484222325;
    for (size_t seed = block * 50; seed < block * 50 + 50; seed++) {
      std::vector<Token> tokens = encode(tokenizer, random_text(seed));
      tokens.push_back(-1);
      for (const Token token : tokens) value = (value ^ uint32_t(token)) * 0x100000001B3;
    }
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
    out.push_back(text);
  }
  return out;
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

template <typename Make>
void check_error(const Make& make, ErrorCode code, const std::string& says = "") {
  try {
    make();
    FAIL("the tokenizer was accepted");
  } catch (const EngineError& error) {
    CAPTURE(error.what());
    CHECK(std::string(name_of(error.code())) == name_of(code));
    CHECK(std::string(error.what()).find(says) != std::string::npos);
  }
}

// The tokenizer.json `text` with the first `from` in it replaced by `to` is refused.
void check_refused(std::string text, const std::string& from, const std::string& to,
                   ErrorCode code) {
  CAPTURE(from);
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  check_error([&] { Tokenizer(text, "tokenizer.json"); }, code, "tokenizer.json: ");
}

void check_gguf_refused(void (*change)(GgufTokenizerFields&), const std::string& says,
                        ErrorCode code, const std::string& pre = "qwen2") {
  GgufTokenizerFields fields =
      gguf_fields(family_json(pre == "llama" ? "codellama" : "qwen2"), pre);
  change(fields);
  check_error([&] { Tokenizer(spec_from_gguf(fields, "model.gguf")); }, code, says);
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

TEST_CASE("every family's tokens are those of Hugging Face tokenizers, from both kinds of file") {
  const Json goldens = Json::parse(read_text(fixtures() / "tokenizers" / "goldens.json"));
  CHECK(goldens.object().size() >= 8);
  for (const auto& [name, golden] : goldens.object()) {
    CAPTURE(name);
    std::vector<std::string> expected;
    for (const Json& hash : golden.at("hashes").array()) expected.push_back(hash.string());
    REQUIRE(expected.size() == 100);
    Tokenizer tokenizer(family_json(name), name);
    CHECK(hashes(tokenizer, expected.size()) == expected);
    CHECK(tokenizer.normalizes_nfc() == (name == "qwen2"));
    for (const Json& pre : golden.at("gguf").array()) {
      CAPTURE(pre.string());
      Tokenizer gguf(spec_from_gguf(gguf_fields(family_json(name), pre.string()), name));
      CHECK(hashes(gguf, expected.size()) == expected);
      CHECK(gguf.normalizes_nfc() == tokenizer.normalizes_nfc());
      CHECK(gguf.special_tokens() == tokenizer.special_tokens());
      CHECK(gguf.size() == tokenizer.size());
    }
  }
}

TEST_CASE("the pieces cut by hand are those that the pattern cuts") {
  // Written another way, so that the pattern is not recognized and its program runs.
  Splitter program({{"(?:" + std::string(kRingsidePattern) + ")"}});
  Splitter by_hand({{std::string(kRingsidePattern)}});
  for (uint64_t seed = 0; seed < 2000; seed++) {
    const std::string text = random_text(seed);
    CHECK(program.split(text) == by_hand.split(text));
  }
}

TEST_CASE("any bytes come back from their tokens, and no text makes a special token") {
  std::mt19937 random(2);
  for (const char* name : {"qwen2", "llama3", "starcoder2", "deepseek-coder", "bailing", "gpt2"}) {
    CAPTURE(name);
    Tokenizer tokenizer(family_json(name), name);
    std::string specials = "x";
    for (const auto& [content, id] : tokenizer.special_tokens())
      specials += content + " " + content;
    for (int i = 0; i < 300; i++) {
      std::string bytes = i == 0 ? specials : random_text(uint64_t(i));
      // DeepSeek-Coder has no tokens for the bytes that no UTF-8 text has.
      const unsigned most = name == std::string("deepseek-coder") ? 0xC0 : 0x100;
      for (int n = 0; n < i % 7; n++)
        bytes.insert(random() % (bytes.size() + 1), 1, char(random() % most));
      const auto tokens = encode(tokenizer, bytes);
      CHECK(joined_bytes(tokenizer, tokens) == bytes);
      for (const Token token : tokens) CHECK_FALSE(tokenizer.is_special(token));
    }
  }
}

TEST_CASE("a tokenizer of SentencePiece's style puts its space at the start only") {
  for (const char* name : {"codellama", "codestral"}) {
    CAPTURE(name);
    Tokenizer tokenizer(family_json(name), name);
    const auto text_of = [&](std::string_view text, bool at_start) {
      return joined_bytes(tokenizer, encode(tokenizer, text, at_start));
    };
    CHECK(text_of("return x", true) == " return x");
    CHECK(text_of("return x", false) == "return x");
    CHECK(text_of(" return x", true) ==
          (name == std::string("codellama") ? "  return x" : " return x"));
    CHECK(text_of("", true) == "");
    CHECK(text_of("\xff\xe2\x82z\xf0\x9f\x99\x82", false) == "\xff\xe2\x82z\xf0\x9f\x99\x82");
    for (const Token token : encode(tokenizer, "<0x0A></s><unk>")) {
      CHECK_FALSE(tokenizer.is_special(token));
      CHECK(tokenizer.bytes(token) != "\n");
    }
    CHECK(encode(tokenizer, "\n", false).size() == 1);
  }
}

TEST_CASE("GGUF's token types say what text can make") {
  GgufTokenizerFields fields = gguf_fields(family_json("llama3"), "llama-bpe");
  Tokenizer before(spec_from_gguf(fields, "model.gguf"));
  const Token returned = encode(before, " returned").at(0);
  CHECK(before.bytes(returned) == " returned");
  CHECK(before.adds_bos());
  fields.token_types[size_t(returned)] = 4;  // user-defined
  fields.eos = Token(0);
  fields.add_bos = false;
  Tokenizer after(spec_from_gguf(fields, "model.gguf"));
  CHECK(encode(after, " returned").size() > 1);
  CHECK(after.special_tokens().at("\u0120returned") == returned);
  CHECK(after.eos() == Token(0));
  CHECK_FALSE(after.bos());
  CHECK_FALSE(after.adds_bos());
}

TEST_CASE("an added token that is one character is text, and does not end it") {
  const std::string json = family_json("deepseek-coder");
  Tokenizer of_json(json, "tokenizer.json");
  Tokenizer of_gguf(spec_from_gguf(gguf_fields(json, "deepseek-coder"), "model.gguf"));
  for (Tokenizer* tokenizer : {&of_json, &of_gguf}) {
    const auto tokens = encode(*tokenizer, "f\u00fcr \u00fc");
    CHECK(std::count(tokens.begin(), tokens.end(), tokens.back()) == 2);
    CHECK(tokenizer->bytes(tokens.back()) == "\u00fc");
    CHECK_FALSE(tokenizer->is_special(tokens.back()));
    CHECK_FALSE(tokenizer->special_tokens().contains("\u00fc"));
    CHECK(decode(*tokenizer, tokens) == "f\u00fcr \u00fc");
    CHECK(encode(*tokenizer, "").empty());
  }
  // Marked as special, or of more than one letter, it is never text.
  std::string marked = json;
  const size_t at = marked.find("\"special\":false");
  REQUIRE(at != std::string::npos);
  marked.replace(at, 15, "\"special\":true");
  CHECK(Tokenizer(marked, "tokenizer.json").special_tokens().contains("\u00f5"));
  GgufTokenizerFields fields = gguf_fields(json, "deepseek-coder");
  fields.tokens.back() = "\u00fb\u00fb";
  CHECK(Tokenizer(spec_from_gguf(fields, "model.gguf")).special_tokens().contains("\u00fb\u00fb"));
}

TEST_CASE("in SentencePiece's style an added token of one character is never text") {
  GgufTokenizerFields fields = gguf_fields(family_json("codellama"), "llama");
  const auto x = std::find(fields.tokens.begin(), fields.tokens.end(), "x");
  REQUIRE(x != fields.tokens.end());
  fields.token_types[size_t(x - fields.tokens.begin())] = 4;
  Tokenizer tokenizer(spec_from_gguf(fields, "model.gguf"));
  REQUIRE(tokenizer.special_tokens().contains("x"));
  const auto tokens = encode(tokenizer, "x = x");
  for (const Token token : tokens) CHECK_FALSE(tokenizer.is_special(token));
  CHECK(joined_bytes(tokenizer, tokens) == " x = x");
}

TEST_CASE("a GGUF file that names no splitting has the one of its family") {
  struct Row {
    const char *fixture, *architecture, *mark, *splitting;
  };
  for (const auto& [fixture, architecture, mark, splitting] :
       {Row{"starcoder2", "starcoder2", "", "starcoder"}, Row{"qwen2", "qwen2", "", "qwen2"},
        Row{"qwen2", "qwen3moe", "", "qwen2"},
        Row{"deepseek-coder", "llama", "<\uFF5Cfim\u2581hole\uFF5C>", "deepseek-coder"},
        Row{"llama3", "llama", "<|begin_of_text|>", "llama-bpe"},
        Row{"starcoder2", "llama", "<fim_prefix>", "refact"},
        Row{"gpt2", "llama", "", "default"}}) {
    CAPTURE(architecture);
    CAPTURE(mark);
    GgufTokenizerFields fields = gguf_fields(family_json(fixture), splitting);
    Tokenizer named(spec_from_gguf(fields, "model.gguf"));
    fields.pre = "";
    fields.architecture = architecture;
    fields.tokens.emplace_back(mark);
    fields.token_types.push_back(3);
    Tokenizer unnamed(spec_from_gguf(fields, "model.gguf"));
    CHECK(hashes(unnamed, 10) == hashes(named, 10));
    CHECK(unnamed.adds_bos() == named.adds_bos());
    CHECK(unnamed.normalizes_nfc() == named.normalizes_nfc());
  }
}

TEST_CASE("Code Llama's marks are special though its files call them normal") {
  GgufTokenizerFields fields = gguf_fields(family_json("codellama"), "llama");
  for (const char* mark : {"\u2581<", "PRE", "\u2581<PRE", "\u2581<PRE>", "\u2581<EOT>"}) {
    if (std::find(fields.tokens.begin(), fields.tokens.end(), mark) != fields.tokens.end())
      continue;
    fields.tokens.emplace_back(mark);
    fields.token_types.push_back(1);
    fields.scores.push_back(-float(fields.tokens.size()));
  }
  Tokenizer tokenizer(spec_from_gguf(fields, "model.gguf"));
  const auto& special = tokenizer.special_tokens();
  REQUIRE(special.contains("\u2581<PRE>"));
  CHECK(special.contains("\u2581<EOT>"));
  CHECK_FALSE(special.contains("\u2581<PRE"));
  for (const Token token : encode(tokenizer, "<PRE>x <PRE> <EOT>"))
    CHECK_FALSE(tokenizer.is_special(token));
}

TEST_CASE("a byte that no text has may lack a token") {
  GgufTokenizerFields fields = gguf_fields(family_json("qwen2"), "qwen2");
  for (const char* piece : {"\u00c0", "\u00c1", "\u00f5", "\u00ff"}) {
    const auto at = std::find(fields.tokens.begin(), fields.tokens.end(), piece);
    REQUIRE(at != fields.tokens.end());
    fields.token_types[size_t(at - fields.tokens.begin())] = 5;
  }
  Tokenizer tokenizer(spec_from_gguf(fields, "model.gguf"));
  CHECK(joined_bytes(tokenizer, encode(tokenizer, "a\xff")) == "a\uFFFD");
  CHECK(joined_bytes(tokenizer, encode(tokenizer, "\xc0")) == "\uFFFD");
}

TEST_CASE("another kind of tokenizer.json is refused") {
  const std::string tiny = tokenizer_json(), spaced = family_json("codellama");
  constexpr ErrorCode unsupported = ErrorCode::model_unsupported,
                      corrupt = ErrorCode::model_corrupt;
  check_refused(tiny, "\"Isolated\"", "\"Elsewhere\"", unsupported);
  check_refused(tiny, "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}", unsupported);
  check_refused(tiny, "\"type\":\"BPE\"", "\"type\":\"Unigram\"", unsupported);
  check_refused(tiny, "\"dropout\":null", "\"dropout\":0.1", unsupported);
  check_refused(tiny, "\"byte_fallback\":false", "\"byte_fallback\":true", unsupported);
  check_refused(tiny, "\"add_prefix_space\":false", "\"add_prefix_space\":true", unsupported);
  check_refused(tiny, "\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"_\"", unsupported);
  check_refused(tiny, "{\"type\":\"ByteLevel\"", "{\"type\":\"Whitespace\"", unsupported);
  check_refused(tiny, "\"!\":", "\"\u65e5\":", corrupt);
  check_refused(tiny, "\"merges\":[", "\"merges\":[[\"zq\",\"x\"],", corrupt);
  check_refused(tiny, "\"merges\":[", "\"merges\":[\"one\",", corrupt);
  check_refused(tiny, "\"!\":5", "\"!\":-5", corrupt);
  check_refused(tiny, "\"!\":5", "\"!\":6", corrupt);
  check_refused(tiny, "\"!\":5", "\"!\":70000", corrupt);  // 2 * 320 and a gap of 65,536
  check_refused(spaced, "\"byte_fallback\":true", "\"byte_fallback\":false", unsupported);
  check_refused(spaced, "\"prepend\":\"\u2581\"", "\"prepend\":\"x\"", unsupported);
  check_refused(spaced, "\"<0x0A>\":", "\"<0x0a>\":", corrupt);
}

TEST_CASE("every splitting that the message lists can be used") {
  GgufTokenizerFields fields = gguf_fields(family_json("qwen2"), "?");
  std::string known;
  try {
    spec_from_gguf(fields, "model.gguf");
  } catch (const EngineError& error) {
    known = error.what();
  }
  known = known.substr(known.find("one of ") + 7);
  known = known.substr(0, known.find(". ")) + ", ";
  int n = 0;
  for (size_t at = 0; at < known.size(); n++) {
    const size_t end = known.find(", ", at);
    fields.pre = known.substr(at, end - at);
    CAPTURE(fields.pre);
    Tokenizer tokenizer(spec_from_gguf(fields, "model.gguf"));
    CHECK(joined_bytes(tokenizer, encode(tokenizer, random_text(3))) == random_text(3));
    at = end + 2;
  }
  CHECK(n >= 40);
}

TEST_CASE("an unknown or broken GGUF tokenizer is refused, and says what is known") {
  using Fields = GgufTokenizerFields;
  constexpr ErrorCode unsupported = ErrorCode::model_unsupported,
                      corrupt = ErrorCode::model_corrupt;
  check_gguf_refused([](Fields& f) { f.model = "t5"; }, "\"t5\"", unsupported);
  check_gguf_refused([](Fields& f) { f.pre = "qwen9"; }, "llama-bpe", unsupported);
  check_gguf_refused([](Fields& f) { f.token_types.pop_back(); }, "token_type", corrupt);
  check_gguf_refused([](Fields& f) { f.token_types[0] = 7; }, "token_type", corrupt);
  check_gguf_refused([](Fields& f) { f.merges[0] = "zq x"; }, "zq", corrupt);
  check_gguf_refused([](Fields& f) { f.bos = Token(f.tokens.size()); }, "which it lacks", corrupt);
  check_gguf_refused([](Fields& f) { f.scores.pop_back(); }, "scores", corrupt, "llama");
  check_gguf_refused([](Fields& f) { f.scores[9] = std::nanf(""); }, "score", corrupt, "llama");
  check_gguf_refused([](Fields& f) { f.token_types[400] = 6; }, "not a byte", corrupt, "llama");
  check_gguf_refused([](Fields& f) { f.tokens[400].resize(300, 'a'); }, "long", corrupt, "llama");
}
