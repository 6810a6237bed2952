// The tokenizer in a GGUF file's metadata (tokenizer.ggml.*, as gguf's specification lists them).
#include <algorithm>

#include "tokenizer_spec.h"
#include "tokenizer_split.h"

namespace ringside {

namespace {

constexpr const char* kContractions = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
// Of GPT-4's split and its descendants: other marks, line ends, and spaces before a word or not.
constexpr const char* kRest = R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kWord = R"([^\r\n\p{L}\p{N}]?\p{L}+)";
// Words that end where lower case meets upper case.
constexpr const char* kLowerWord =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)";
constexpr const char* kUpperWord =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)";
constexpr const char* kPathRest = R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kHanKana = R"([\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+)";
constexpr const char* kDeepSeekScripts = R"([\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+)";

// Of DeepSeek LLM: the letters with case, as its tokenizer.json lists them. Spelled by number: most
// tools silently turn some of them (U+1FBE, U+2126, U+212A) into their look-alikes.
constexpr const char* kCasedLetters =
    R"(\s?[A-Za-z)"
    R"(\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293)"
    R"(\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c)"
    R"(\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5)"
    R"(\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77)"
    R"(\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57)"
    R"(\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4)"
    R"(\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc)"
    R"(\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d)"
    R"(\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b)"
    R"(\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f)"
    R"(\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a)"
    R"(\uff41-\uff5a\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb})"
    R"(\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943})"
    R"(]+)";

std::string any(std::initializer_list<std::string> alternatives) {
  std::string pattern;
  for (const std::string& alternative : alternatives) {
    pattern += (pattern.empty() ? "" : "|") + alternative;
  }
  return pattern;
}

struct Splitting {
  std::vector<std::string_view> names;
  std::vector<std::string> patterns;
  bool ignore_merges = false;  // and then it starts with a beginning-of-text token
  bool normalizes_nfc = false;
};

// Which names mean which patterns: published by ggml-org/llama.cpp (src/llama-vocab.cpp). Where
// that adapts a model's own pattern to its library, this is the model's own.
const std::vector<Splitting>& splittings() {
  const std::string gpt2(kGpt2Pattern);
  static const std::vector<Splitting> table = {
      {{"ringside"}, {std::string(kRingsidePattern)}},
      {{"default"}, {R"([\p{P}\$\+<=>\^~\|]+)", gpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", gpt2, "[0-9][0-9][0-9]"}},
      {{"gpt-2", "phi-2", "mpt", "olmo", "mellum", "roberta-bpe", "jina-v2-code", "exaone4"},
       {gpt2}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"},
       {R"(\p{Numeric})", gpt2}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"},
       {any({kContractions, kWord, R"(\p{N}{1,3})", kRest})},
       true},
      {{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"},
       {any({kContractions, kWord, R"(\p{N}{1,3})", kRest})}},
      {{"qwen2"}, {any({kContractions, kWord, R"(\p{N})", kRest})}, false, true},
      {{"deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"},
       {any({kContractions, kWord, R"(\p{N})", kRest})}},
      {{"qwen35"},
       {any({kContractions, R"([^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+)", R"(\p{N})",
             R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"})},
       false,
       true},
      {{"seed-coder"},
       {any({kContractions, kWord, R"(\p{N}{1})",
             R"( ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"})}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"},
       {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
        R"(|\s*[\r\n]|\s+(?!\S)|\s+)"}},
      {{"tekken"}, {any({kLowerWord, kUpperWord, R"(\p{N})", kPathRest})}, true},
      {{"gpt-4o", "llama4", "kanana2"},
       {any({std::string(kLowerWord) + kContractions + "?",
             std::string(kUpperWord) + kContractions + "?", R"(\p{N}{1,3})", kPathRest})}},
      {{"deepseek-coder"},
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekScripts, R"(\p{Numeric})"}},
      {{"deepseek-llm"},
       {R"([\r\n])", kCasedLetters,
        R"(\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+)", "\\s+$",
        kDeepSeekScripts, R"(\p{N}+)"}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
       {R"(\p{N}{1,3})", kHanKana,
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
        R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
  };
  return table;
}

const Splitting& splitting_named(const std::string& name, const std::string& where) {
  std::string known;
  for (const Splitting& splitting : splittings()) {
    for (const std::string_view candidate : splitting.names) {
      if (candidate == name) return splitting;
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
  }
  fail_unsupported(where, "tokenizer.ggml.pre is \"" + name + "\", and not one of " + known);
}

// Of a byte-level tokenizer in a file that does not name its splitting: converters wrote no name
// until April 2024. The architecture or a token that only one kind of vocabulary has tells which
// one it is.
std::string_view unnamed_splitting(const GgufTokenizerFields& fields) {
  if (fields.architecture == "starcoder2") return "starcoder";
  if (fields.architecture.starts_with("qwen")) return "qwen2";
  constexpr std::pair<std::string_view, std::string_view> kMarks[] = {
      {"<｜fim▁hole｜>", "deepseek-coder"},
      {"<|begin_of_text|>", "llama-bpe"},
      {"<fim_prefix>", "refact"}};
  for (const auto& [token, splitting] : kMarks) {
    const auto& tokens = fields.tokens;
    if (std::find(tokens.begin(), tokens.end(), token) != tokens.end()) return splitting;
  }
  return "default";
}

TokenType type_of(int32_t type, const std::string& piece, const std::string& where) {
  switch (type) {
    case 1:
      return TokenType::normal;
    case 2:
    case 3:
      return TokenType::special;
    case 4:
      return is_literal(piece) ? TokenType::literal : TokenType::special;
    case 5:
      return TokenType::unused;
    case 6:
      return TokenType::byte;
    default:
      fail_corrupt(where, "tokenizer.ggml.token_type has a " + std::to_string(type));
  }
}

void read_byte_level(TokenizerSpec& spec, const GgufTokenizerFields& fields) {
  const Splitting& splitting = splitting_named(
      fields.pre.empty() ? std::string(unnamed_splitting(fields)) : fields.pre, spec.where);
  for (const std::string& pattern : splitting.patterns) spec.steps.push_back({pattern});
  spec.ignore_merges = splitting.ignore_merges;
  spec.normalizes_nfc = splitting.normalizes_nfc;
  spec.adds_bos = fields.add_bos.value_or(splitting.ignore_merges);
  TokenIds ids;
  ids.reserve(fields.tokens.size());
  for (size_t id = 0; id < fields.tokens.size(); id++) ids.emplace(fields.tokens[id], Token(id));
  spec.merges.reserve(fields.merges.size());
  for (const std::string& merge : fields.merges) add_merge(spec, ids, merge);
}

void read_sentencepiece(TokenizerSpec& spec, const GgufTokenizerFields& fields) {
  spec.kind = TokenizerKind::sentencepiece;
  spec.scores = fields.scores;
  if (spec.scores.size() != spec.pieces.size()) {
    fail_corrupt(spec.where, "tokenizer.ggml.scores has not one score for each token");
  }
  // Code Llama's, which are pieces of its vocabulary like any other: files call them normal.
  for (const std::string_view mark : {"▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"}) {
    const auto at = std::find(spec.pieces.begin(), spec.pieces.end(), mark);
    if (at != spec.pieces.end()) spec.types[size_t(at - spec.pieces.begin())] = TokenType::special;
  }
  const bool prefix = fields.add_space_prefix.value_or(true);
  spec.space_prefix = prefix ? SpacePrefix::always : SpacePrefix::none;
  spec.adds_bos = fields.add_bos.value_or(true);
}

}  // namespace

TokenizerSpec spec_from_gguf(const GgufTokenizerFields& fields, const std::string& where) {
  TokenizerSpec spec;
  spec.where = where;
  spec.pieces = fields.tokens;
  spec.bos = fields.bos;
  spec.eos = fields.eos;
  spec.types.assign(fields.tokens.size(), TokenType::normal);
  if (!fields.token_types.empty()) {
    if (fields.token_types.size() != fields.tokens.size()) {
      fail_corrupt(where, "tokenizer.ggml.token_type has not one type for each token");
    }
    std::transform(fields.token_types.begin(), fields.token_types.end(), fields.tokens.begin(),
                   spec.types.begin(), [&](int32_t type, const std::string& piece) {
                     return type_of(type, piece, where);
                   });
  }
  for (const auto& id : {fields.bos, fields.eos, fields.unknown}) {
    if (!id) continue;
    if (*id < 0 || size_t(*id) >= spec.types.size()) {
      fail_corrupt(where, "it names the token " + std::to_string(*id) + ", which it lacks");
    }
    spec.types[size_t(*id)] = TokenType::special;
  }
  if (fields.model == "gpt2") {
    read_byte_level(spec, fields);
  } else if (fields.model == "llama") {
    read_sentencepiece(spec, fields);
  } else {
    fail_unsupported(where, "tokenizer.ggml.model is \"" + fields.model + "\"");
  }
  return spec;
}

}  // namespace ringside
