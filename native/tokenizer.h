// Byte-level BPE: text to tokens and back, as Hugging Face `tokenizers` does it for tokenizer.json.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backend.h"

namespace ringside {

// The length in bytes of the piece that starts `text` (not empty): merges never cross pieces.
// What the pattern in tokenizer.cpp matches, written by hand. Every byte belongs to a piece.
size_t piece_length(std::string_view text);

class Tokenizer {
 public:
  // Reads tokenizer.json. `where` names the file in messages. Throws EngineError MODEL_CORRUPT, or
  // MODEL_UNSUPPORTED for another kind of tokenizer than the one described here.
  Tokenizer(std::string_view json, const std::string& where);

  // Appends the tokens of `text` (any bytes). Never special tokens, whatever the text says.
  // Remembers pieces: one thread at a time.
  void encode(std::string_view text, std::vector<Token>& tokens);

  // The bytes of one token; empty for special tokens and for ids that have none.
  std::string_view bytes(Token token) const;

  bool is_special(Token token) const;
  const std::map<std::string, Token>& special_tokens() const { return special_; }
  // One more than the largest id.
  int size() const { return int(bytes_.size()); }

 private:
  struct Merge {
    uint32_t rank = 0;
    Token token = 0;
  };

  void encode_piece(std::string_view piece, std::vector<Token>& tokens);
  void merge(std::string_view piece);

  std::vector<std::string> bytes_;  // by id
  std::vector<bool> is_special_;
  std::map<std::string, Token> special_;
  std::array<Token, 256> byte_tokens_{};
  std::unordered_map<uint64_t, Merge> merges_;  // by the pair of ids

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
