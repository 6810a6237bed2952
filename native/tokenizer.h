// Byte pair encoding: text to tokens and back, as Hugging Face `tokenizers` does it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backend.h"
#include "tokenizer_spec.h"
#include "tokenizer_split.h"

namespace ringside {

class Tokenizer {
 public:
  // Reads tokenizer.json. `where` names the file in messages. Throws EngineError MODEL_CORRUPT, or
  // MODEL_UNSUPPORTED for another kind of tokenizer than TokenizerSpec describes.
  Tokenizer(std::string_view json, const std::string& where);
  // The same errors.
  explicit Tokenizer(const TokenizerSpec& spec);
  Tokenizer(const Tokenizer&) = delete;  // literals_ and whole_pieces_ view its own strings
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Appends the tokens of `text` (any bytes; in NFC if normalizes_nfc). Never special tokens,
  // whatever the text says. `at_start`: nothing comes before the text, so that a tokenizer of
  // SentencePiece's style puts its space there. Remembers pieces: one thread at a time.
  void encode(std::string_view text, std::vector<Token>& tokens, bool at_start = true);

  // The bytes of one token; empty for special tokens and for ids that have none.
  std::string_view bytes(Token token) const;

  bool is_special(Token token) const;
  // By their text: the control tokens and all added ones.
  const std::map<std::string, Token>& special_tokens() const { return special_; }
  // One more than the largest id.
  int size() const { return int(bytes_.size()); }

  // The model was trained on text in Unicode's normal form C. The caller has the tables for it.
  bool normalizes_nfc() const { return normalizes_nfc_; }
  // What the source says of them; tokenizer.json says nothing of the end.
  std::optional<Token> bos() const { return bos_; }
  std::optional<Token> eos() const { return eos_; }
  bool adds_bos() const { return adds_bos_; }

 private:
  struct Merge {
    uint32_t rank = 0;
    Token token = 0;
  };

  void read_pieces(const TokenizerSpec& spec);
  void check_bytes(const TokenizerSpec& spec) const;
  void read_merges(const TokenizerSpec& spec);
  void read_scores(const TokenizerSpec& spec);
  void read_joints(const TokenizerSpec& spec);

  void encode_spaced(std::string_view text, std::vector<Token>& tokens, bool at_start);
  void encode_split(std::string_view text, std::vector<Token>& tokens);
  void encode_piece(std::string_view piece, std::vector<Token>& tokens);
  void add_byte_parts(std::string_view piece);
  void add_character_parts(std::string_view piece);
  void merge(std::string_view piece);

  TokenizerKind kind_;
  bool normalizes_nfc_, adds_bos_, splits_at_spaces_;
  SpacePrefix space_prefix_;
  std::optional<Token> bos_, eos_;

  std::vector<std::string> bytes_;  // by id
  std::vector<TokenType> types_;    // by id
  std::map<std::string, Token> special_;
  std::unordered_map<std::string_view, Token> literals_;  // by their text, in bytes_
  std::array<Token, 256> byte_tokens_{};                  // -1 for none
  std::unordered_map<uint64_t, Merge> merges_;            // by the pair of ids
  Splitter splitter_;
  std::unordered_map<std::string_view, Token> whole_pieces_;  // only if merges are ignored for them

  // Of sentencepiece: the tokens of single characters, and the pairs of neighbouring characters in
  // tokens. Between any other two characters nothing is ever merged, so the text is cut there: the
  // result is the same, and the pieces are short enough to remember.
  std::unordered_map<char32_t, Token> character_tokens_;
  std::unordered_set<uint64_t> joints_;
  std::string spaced_;  // the text, as encode_spaced rewrites it

  // The tokens of pieces seen before. Forgotten as a whole when full: the next window fills it
  // again.
  std::unordered_map<std::string, std::vector<Token>> cache_;

  // Of the piece being merged: a list of parts linked by index, and the candidate merges.
  struct Part {
    Token token = 0;
    int previous = -1;
    int next = -1;
  };
  struct Candidate {
    uint32_t rank = 0;
    int left = 0;                           // index of the part that would grow
    Token left_token = 0, right_token = 0;  // stale once the parts are others
  };
  std::vector<Part> parts_;
  std::vector<Candidate> heap_;
};

// Turns tokens into text, holding back the bytes of an incomplete character until it is whole.
class TextDecoder {
 public:
  explicit TextDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // The whole characters that `token` completes. Bytes that cannot be UTF-8 become U+FFFD.
  std::string decode(Token token);
  // What is still held back, as U+FFFD; "" for nothing.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  std::string held_;
};

}  // namespace ringside
