// What a tokenizer is, in plain data: read from Hugging Face's tokenizer.json or from the metadata
// of a GGUF file, and what Tokenizer is made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backend.h"

namespace ringside {

enum class TokenizerKind {
  byte_level,     // pieces are spelled in GPT-2's alphabet, one character a byte
  sentencepiece,  // pieces are text with U+2581 for a space; bytes beyond them are <0xHH>
};

enum class TokenType : uint8_t {
  normal,
  special,  // all control and added tokens but literal ones: never from text
  literal,  // an added token that is one character: byte_level's text, sentencepiece's special
  byte,     // of sentencepiece: never from text that spells it
  unused,   // an id without text
};

// One step of splitting text; merges never cross what it splits.
struct SplitStep {
  enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };
  std::string pattern;
  Behavior behavior = Behavior::isolated;
  bool invert = false;  // the pattern describes the pieces, not what is between them
};

enum class SpacePrefix {
  none,
  always,         // U+2581 before the text
  unless_spaced,  // the same, but not before a text that starts with a space
};

struct TokenizerSpec {
  struct Merge {
    Token left = 0, right = 0, merged = 0;
  };

  TokenizerKind kind = TokenizerKind::byte_level;
  std::string where;  // the file's name, for messages

  std::vector<std::string> pieces;  // by id, as the source spells them
  std::vector<TokenType> types;     // by id
  std::vector<Merge> merges;        // the first is done first
  std::vector<float> scores;        // in place of merges, by id: the highest is made first
  bool ignore_merges = false;       // a piece that is a token as a whole is that token

  std::vector<SplitStep> steps;  // of byte_level
  bool normalizes_nfc = false;
  SpacePrefix space_prefix = SpacePrefix::none;  // of sentencepiece
  bool splits_at_spaces = false;                 // of sentencepiece: before every U+2581

  // What the source says of them; the caller places them.
  std::optional<Token> bos, eos;
  bool adds_bos = false;
};

// The fields of a GGUF file's metadata that start with tokenizer.ggml.
struct GgufTokenizerFields {
  std::string model;                 // "gpt2" or "llama"
  std::string pre;                   // the name of the splitting; of "gpt2"
  std::vector<std::string> tokens;   // by id
  std::vector<int32_t> token_types;  // by id: 1 normal, 2 unknown, 3 control, 4 user-defined,
                                     // 5 unused, 6 byte; may be empty
  std::vector<std::string> merges;   // "left right"; of "gpt2"
  std::string architecture;          // general.architecture, which tells where `pre` is missing
  std::vector<float> scores;         // by id; of "llama"
  std::optional<Token> bos, eos, unknown;
  std::optional<bool> add_space_prefix, add_bos;
};

// Each throws EngineError MODEL_CORRUPT or MODEL_UNSUPPORTED; `where` names the file.
TokenizerSpec spec_from_json(std::string_view json, const std::string& where);
TokenizerSpec spec_from_gguf(const GgufTokenizerFields& fields, const std::string& where);

// Helpers of the two. A byte is spelled <0xHH>, in capitals.
bool is_byte_piece(std::string_view piece);
// Whether an added token's text is one character. DeepSeek-Coder has 13 (ü, ö,
// ú...), since its vocabulary lacks the characters that stand for bytes which no UTF-8 text has.
bool is_literal(std::string_view piece);
using TokenIds = std::unordered_map<std::string_view, Token>;
[[noreturn]] void fail_corrupt(const std::string& where, const std::string& what);
[[noreturn]] void fail_unsupported(const std::string& where, const std::string& what);
// Appends the merge of two pieces; `ids` are the spec's.
void add_merge(TokenizerSpec& spec, const TokenIds& ids, std::string_view left,
               std::string_view right);
// Appends the merge "left right".
void add_merge(TokenizerSpec& spec, const TokenIds& ids, std::string_view both);

}  // namespace ringside
