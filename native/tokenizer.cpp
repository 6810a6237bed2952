#include "tokenizer.h"

#include <algorithm>
#include <cmath>

#include "json.h"

namespace ringside {

namespace {

constexpr size_t kCachedPieces = 32768;     // about 4 MB
constexpr size_t kLongestCachedPiece = 64;  // bytes; longer ones do not come back
constexpr size_t kLongestScored = 256;      // bytes; every way to cut a piece in two is looked up
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kSpace = "\xE2\x96\x81";        // U+2581

// The bytes that no UTF-8 text has (RFC 3629): a vocabulary may lack them.
constexpr bool is_never_utf8(int byte) { return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5; }

// The byte that each character of a byte-level vocabulary stands for: printable Latin-1 is itself,
// the other bytes are U+0100 and up in order.
std::unordered_map<char32_t, char> byte_of_character() {
  std::unordered_map<char32_t, char> bytes;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; byte++) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    bytes[printable ? byte : next++] = static_cast<char>(byte);
  }
  return bytes;
}

// The bytes that a byte-level piece stands for; empty if it is not spelled in that alphabet.
std::string byte_level_bytes(std::string_view piece) {
  static const auto byte_of = byte_of_character();
  std::string bytes;
  for (size_t i = 0; i < piece.size();) {
    const Character c = character_at(piece, i);
    const auto byte = byte_of.find(c.code_point);
    if (byte == byte_of.end()) return "";
    bytes += byte->second;
    i += c.length;
  }
  return bytes;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = text.find(from, at);
    out += text.substr(at, found - at);
    if (found == std::string_view::npos) return out;
    out += to;
    at = found + from.size();
  }
}

uint64_t pair_key(uint32_t left, uint32_t right) { return uint64_t(left) << 32 | right; }
uint64_t pair_key(Token left, Token right) { return pair_key(uint32_t(left), uint32_t(right)); }

}  // namespace

Tokenizer::Tokenizer(std::string_view json, const std::string& where)
    : Tokenizer(spec_from_json(json, where)) {}

Tokenizer::Tokenizer(const TokenizerSpec& spec)
    : kind_(spec.kind),
      normalizes_nfc_(spec.normalizes_nfc),
      adds_bos_(spec.adds_bos),
      splits_at_spaces_(spec.splits_at_spaces),
      space_prefix_(spec.space_prefix),
      bos_(spec.bos),
      eos_(spec.eos),
      types_(spec.types),
      splitter_(spec.steps) {
  read_pieces(spec);
  check_bytes(spec);
  spec.scores.empty() ? read_merges(spec) : read_scores(spec);
  if (kind_ == TokenizerKind::sentencepiece) read_joints(spec);
}

void Tokenizer::read_pieces(const TokenizerSpec& spec) {
  const bool byte_level = kind_ == TokenizerKind::byte_level;
  byte_tokens_.fill(-1);
  bytes_.resize(spec.pieces.size());
  for (size_t id = 0; id < spec.pieces.size(); id++) {
    const std::string& piece = spec.pieces[id];
    std::string& bytes = bytes_[id];
    switch (types_[id]) {
      case TokenType::special:
        special_.emplace(piece, Token(id));
        break;
      case TokenType::literal:
        if (!byte_level) {
          types_[id] = TokenType::special;
          special_.emplace(piece, Token(id));
          break;
        }
        bytes = piece;
        literals_.emplace(bytes, Token(id));
        break;
      case TokenType::byte:
        if (!is_byte_piece(piece)) fail_corrupt(spec.where, piece + " is not a byte");
        bytes = static_cast<char>(std::strtoul(piece.substr(3, 2).c_str(), nullptr, 16));
        byte_tokens_[static_cast<unsigned char>(bytes[0])] = Token(id);
        break;
      case TokenType::normal:
        bytes = byte_level ? byte_level_bytes(piece) : replace_all(piece, kSpace, " ");
        if (bytes.empty()) types_[id] = TokenType::unused;
        if (byte_level && bytes.size() == 1) {
          byte_tokens_[static_cast<unsigned char>(bytes[0])] = Token(id);
        }
        break;
      case TokenType::unused:
        break;
    }
  }
  if (!spec.ignore_merges) return;
  for (size_t id = 0; id < bytes_.size(); id++) {
    if (types_[id] == TokenType::normal) whole_pieces_.emplace(bytes_[id], Token(id));
  }
}

void Tokenizer::check_bytes(const TokenizerSpec& spec) const {
  for (int byte = 0; byte < 256; byte++) {
    if (byte_tokens_[size_t(byte)] < 0 && !is_never_utf8(byte)) {
      fail_corrupt(spec.where, "no token stands for byte " + std::to_string(byte));
    }
  }
}

void Tokenizer::read_merges(const TokenizerSpec& spec) {
  merges_.reserve(spec.merges.size());
  uint32_t rank = 0;
  for (const auto& [left, right, merged] : spec.merges) {
    const auto is_normal = [&](Token id) { return types_[size_t(id)] == TokenType::normal; };
    if (is_normal(left) && is_normal(right) && is_normal(merged)) {
      merges_[pair_key(left, right)] = {rank, merged};
    }
    rank++;
  }
}

// Two neighbours merge into the piece that they spell together: the best score first.
void Tokenizer::read_scores(const TokenizerSpec& spec) {
  std::vector<float> order = spec.scores;
  if (std::any_of(order.begin(), order.end(), [](float score) { return std::isnan(score); })) {
    fail_corrupt(spec.where, "a token's score is not a number");
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  std::unordered_map<std::string_view, Token> ids;
  for (size_t id = 0; id < spec.pieces.size(); id++) {
    if (types_[id] == TokenType::normal) ids.emplace(spec.pieces[id], Token(id));
  }
  for (const auto& [piece, id] : ids) {
    if (piece.size() > kLongestScored) fail_corrupt(spec.where, "a token is too long");
    const float score = spec.scores[size_t(id)];
    const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<>());
    const uint32_t rank = uint32_t(place - order.begin());
    for (size_t cut = character_at(piece, 0).length; cut < piece.size();) {
      const auto left = ids.find(piece.substr(0, cut)), right = ids.find(piece.substr(cut));
      if (left != ids.end() && right != ids.end()) {
        merges_[pair_key(left->second, right->second)] = {rank, id};
      }
      cut += character_at(piece, cut).length;
    }
  }
}

void Tokenizer::read_joints(const TokenizerSpec& spec) {
  for (size_t id = 0; id < spec.pieces.size(); id++) {
    if (types_[id] != TokenType::normal) continue;
    const std::string& piece = spec.pieces[id];
    Character c = character_at(piece, 0);
    if (c.length == piece.size()) character_tokens_.emplace(c.code_point, Token(id));
    for (size_t i = c.length; i < piece.size(); i += c.length) {
      const char32_t previous = c.code_point;
      c = character_at(piece, i);
      joints_.insert(pair_key(uint32_t(previous), uint32_t(c.code_point)));
    }
  }
}

void Tokenizer::encode(std::string_view text, std::vector<Token>& tokens, bool at_start) {
  if (kind_ == TokenizerKind::sentencepiece) return encode_spaced(text, tokens, at_start);
  size_t start = 0;
  for (size_t i = 0; i < text.size() && !literals_.empty();) {
    const std::string_view character = text.substr(i, character_at(text, i).length);
    i += character.size();
    const auto literal = literals_.find(character);
    if (literal == literals_.end()) continue;
    encode_split(text.substr(start, i - character.size() - start), tokens);
    tokens.push_back(literal->second);
    start = i;
  }
  encode_split(text.substr(start), tokens);
}

void Tokenizer::encode_split(std::string_view text, std::vector<Token>& tokens) {
  for (const std::string_view piece : splitter_.split(text)) encode_piece(piece, tokens);
}

void Tokenizer::encode_spaced(std::string_view text, std::vector<Token>& tokens, bool at_start) {
  if (text.empty()) return;
  const bool spaced = text.starts_with(' ') || text.starts_with(kSpace);
  const bool prefix = space_prefix_ == SpacePrefix::always ||
                      (space_prefix_ == SpacePrefix::unless_spaced && !spaced);
  spaced_ = at_start && prefix ? kSpace : "";
  spaced_ += replace_all(text, " ", kSpace);
  const std::string_view all = spaced_;
  size_t start = 0;
  for (size_t i = 0; i < all.size();) {
    const Character c = character_at(all, i);
    i += c.length;
    bool cut = i == all.size();
    if (!cut) {
      const char32_t next = character_at(all, i).code_point;
      cut = (splits_at_spaces_ && next == 0x2581) ||
            !joints_.contains(pair_key(uint32_t(c.code_point), uint32_t(next)));
    }
    if (!cut) continue;
    encode_piece(all.substr(start, i - start), tokens);
    start = i;
  }
}

void Tokenizer::encode_piece(std::string_view piece, std::vector<Token>& tokens) {
  if (piece.size() == 1 && kind_ == TokenizerKind::byte_level) {
    const Token token = byte_tokens_[static_cast<unsigned char>(piece[0])];
    if (token >= 0) return tokens.push_back(token);
  }
  if (!whole_pieces_.empty()) {
    const auto found = whole_pieces_.find(piece);
    if (found != whole_pieces_.end()) return tokens.push_back(found->second);
  }
  const bool cached = piece.size() <= kLongestCachedPiece;
  const std::string key(cached ? piece : std::string_view());
  if (cached) {
    if (const auto found = cache_.find(key); found != cache_.end()) {
      tokens.insert(tokens.end(), found->second.begin(), found->second.end());
      return;
    }
  }
  merge(piece);
  const size_t start = tokens.size();
  for (int i = 0; i != -1; i = parts_[size_t(i)].next) tokens.push_back(parts_[size_t(i)].token);
  if (cached) {
    if (cache_.size() >= kCachedPieces) cache_.clear();
    cache_.emplace(key, std::vector<Token>(tokens.begin() + ptrdiff_t(start), tokens.end()));
  }
}

// A byte without a token is in no text: it becomes U+FFFD.
void Tokenizer::add_byte_parts(std::string_view piece) {
  for (const char c : piece) {
    const Token token = byte_tokens_[static_cast<unsigned char>(c)];
    if (token >= 0) {
      parts_.push_back({token});
    } else {
      add_byte_parts(kReplacement);
    }
  }
}

// A character without a token becomes its bytes.
void Tokenizer::add_character_parts(std::string_view piece) {
  for (size_t i = 0; i < piece.size();) {
    const Character c = character_at(piece, i);
    const std::string_view bytes = piece.substr(i, c.length);
    const bool valid = c.code_point != kReplacementCharacter || bytes == kReplacement;
    const auto token = character_tokens_.find(c.code_point);
    if (valid && token != character_tokens_.end()) {
      parts_.push_back({token->second});
    } else {
      add_byte_parts(bytes);
    }
    i += c.length;
  }
}

// Merges the pair of lowest rank, the leftmost of equals, until no pair can be.
void Tokenizer::merge(std::string_view piece) {
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  const auto consider = [&](int left) {
    const int right = left < 0 ? -1 : parts_[size_t(left)].next;
    if (right < 0) return;
    const Token a = parts_[size_t(left)].token, b = parts_[size_t(right)].token;
    const auto found = merges_.find(pair_key(a, b));
    if (found == merges_.end()) return;
    heap_.push_back({found->second.rank, left, a, b});
    std::push_heap(heap_.begin(), heap_.end(), later);
  };

  parts_.clear();
  heap_.clear();
  kind_ == TokenizerKind::byte_level ? add_byte_parts(piece) : add_character_parts(piece);
  const int n = int(parts_.size());
  for (int i = 0; i < n; i++) {
    parts_[size_t(i)].previous = i - 1;
    parts_[size_t(i)].next = i + 1 < n ? i + 1 : -1;
  }
  for (int i = 0; i + 1 < n; i++) consider(i);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Candidate candidate = heap_.back();
    heap_.pop_back();
    Part& left = parts_[size_t(candidate.left)];
    if (left.token != candidate.left_token || left.next < 0) continue;
    Part& right = parts_[size_t(left.next)];
    if (right.token != candidate.right_token) continue;
    left.token = merges_.find(pair_key(left.token, right.token))->second.token;
    left.next = right.next;
    right.token = -1;  // no candidate may grow it any more
    if (left.next >= 0) parts_[size_t(left.next)].previous = candidate.left;
    consider(left.previous);
    consider(candidate.left);
  }
}

std::string_view Tokenizer::bytes(Token token) const {
  if (token < 0 || size_t(token) >= bytes_.size()) return {};
  return bytes_[size_t(token)];
}

bool Tokenizer::is_special(Token token) const {
  return token >= 0 && size_t(token) < types_.size() && types_[size_t(token)] == TokenType::special;
}

std::string TextDecoder::decode(Token token) {
  held_ += tokenizer_.bytes(token);
  std::string text;
  size_t i = 0;
  while (i < held_.size()) {
    if (const size_t length = utf8_length(held_, i); length > 0) {
      text.append(held_, i, length);
      i += length;
      continue;
    }
    // Incomplete if some bytes more would make it whole; else one byte is lost.
    const std::string rest = held_.substr(i);
    bool may_become = false;
    if (rest.size() < 4) {
      for (const char* more :
           {"\x80", "\x80\x80", "\x80\x80\x80", "\xA0", "\xA0\x80", "\x90\x80\x80"}) {
        may_become = may_become || utf8_length(rest + more, 0) > rest.size();
      }
    }
    if (may_become) break;
    text += kReplacement;
    i++;
  }
  held_.erase(0, i);
  return text;
}

std::string TextDecoder::finish() {
  const bool any = !held_.empty();
  held_.clear();
  return std::string(any ? kReplacement : "");
}

}  // namespace ringside
