#include "tokenizer.h"

#include <algorithm>

#include "error.h"
#include "json.h"

namespace ringside {

namespace {

// The only split that is computed here, its escapes resolved (see resolve_escapes).
constexpr std::string_view kPattern = R"( ?[A-Za-z_\u0080-\U0010FFFF]+|[0-9]|[\r\n]+[ \t]*)"
                                      R"(| ?[!-/:-@\[-^`{-~]+|[ \t\f\v]+|[\x00-\x08\x0e-\x1f\x7f])";

constexpr size_t kCachedPieces = 32768;     // about 4 MB
constexpr size_t kLongestCachedPiece = 64;  // bytes; longer ones do not come back
constexpr size_t kMaxTokens = 1 << 24;
constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD

enum class Kind : uint8_t { letter, digit, line, blank, punctuation, control };

constexpr Kind kind_of(unsigned char c) {
  if (c >= 0x80 || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
    return Kind::letter;
  }
  if (c >= '0' && c <= '9') return Kind::digit;
  if (c == '\r' || c == '\n') return Kind::line;
  if (c == ' ' || c == '\t' || c == '\f' || c == '\v') return Kind::blank;
  return c > ' ' && c < 0x7F ? Kind::punctuation : Kind::control;
}

constexpr auto kKinds = [] {
  std::array<Kind, 256> kinds{};
  for (size_t c = 0; c < 256; c++) kinds[c] = kind_of(static_cast<unsigned char>(c));
  return kinds;
}();

// \xHH, \uHHHH, \UHHHHHHHH, \x{H...} and \t \r \n \f \v become the characters they stand for: the
// same pattern can be spelled in all these ways.
std::string resolve_escapes(std::string_view pattern) {
  std::string out;
  const auto hex = [&](size_t at, size_t length) {
    return static_cast<char32_t>(
        std::strtoul(std::string(pattern.substr(at, length)).c_str(), nullptr, 16));
  };
  for (size_t i = 0; i < pattern.size(); i++) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    const size_t brace = pattern.find('}', i);
    constexpr std::string_view kNames = "trnfv", kValues = "\t\r\n\f\v";
    if (pattern[i] != '\\' || next == '\0') {
      out += pattern[i];
    } else if (next == 'x' && pattern.substr(i + 2, 1) == "{" && brace != pattern.npos) {
      append_utf8(out, hex(i + 3, brace - i - 3));
      i = brace;
    } else if (next == 'x' || next == 'u' || next == 'U') {
      const size_t length = next == 'x' ? 2 : next == 'u' ? 4 : 8;
      append_utf8(out, hex(i + 2, length));
      i += 1 + length;
    } else if (const size_t name = kNames.find(next); name != kNames.npos) {
      out += kValues[name];
      i++;
    } else {
      out += pattern[i];
      out += next;
      i++;
    }
  }
  return out;
}

// The byte that each character of a byte-level vocabulary stands for: printable Latin-1 is itself,
// the other bytes are U+0100 and up in order.
std::map<char32_t, unsigned char> byte_of_character() {
  std::map<char32_t, unsigned char> bytes;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; byte++) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    bytes[printable ? byte : next++] = static_cast<unsigned char>(byte);
  }
  return bytes;
}

uint64_t pair_key(Token left, Token right) {
  return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
}

class Loader {
 public:
  explicit Loader(const std::string& where) : where_(where), byte_of_(byte_of_character()) {}

  [[noreturn]] void corrupt(const std::string& what) const {
    throw EngineError(ErrorCode::model_corrupt, where_ + ": " + what + ". Export the model again.");
  }

  [[noreturn]] void unsupported(const std::string& what) const {
    throw EngineError(ErrorCode::model_unsupported,
                      where_ + ": " + what +
                          ". This engine reads byte-level BPE with the split pattern of the "
                          "ringside family.");
  }

  void check_kind(const Json& json) const {
    if (json.find("normalizer") != nullptr) unsupported("it has a normalizer");
    const Json& model = json.at("model");
    const Json* type = model.find("type");
    if (type != nullptr && type->string() != "BPE") unsupported("its model is " + type->string());
    for (const char* key :
         {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json* value = model.find(key);
      const bool empty = value == nullptr || (value->is_string() && value->string().empty());
      if (!empty) unsupported(std::string("its model sets ") + key);
    }
    for (const char* key : {"byte_fallback", "ignore_merges"}) {
      const Json* value = model.find(key);
      if (value != nullptr && value->boolean()) unsupported(std::string("its model sets ") + key);
    }
    check_split(json.at("pre_tokenizer"));
  }

  // The bytes that a vocabulary entry stands for.
  std::string bytes(const std::string& entry) const {
    std::string out;
    for (size_t i = 0; i < entry.size();) {
      const size_t length = utf8_length(entry, i);
      const auto first = static_cast<unsigned char>(entry[i]);
      char32_t c = first;
      if (length == 2)
        c = char32_t(first & 0x1Fu) << 6 | (static_cast<unsigned char>(entry[i + 1]) & 0x3Fu);
      const auto byte = byte_of_.find(c);
      if (length < 1 || length > 2 || byte == byte_of_.end()) {
        corrupt("the vocabulary entry \"" + entry + "\" is not byte-level");
      }
      out += static_cast<char>(byte->second);
      i += length;
    }
    return out;
  }

 private:
  void check_split(const Json& pre_tokenizer) const {
    const Json* steps = pre_tokenizer.find("pretokenizers");
    if (steps == nullptr || steps->array().size() != 2) unsupported("its pre_tokenizer is another");
    const Json& split = steps->array()[0];
    const Json& byte_level = steps->array()[1];
    if (split.at("type").string() != "Split" || byte_level.at("type").string() != "ByteLevel") {
      unsupported("its pre_tokenizer is not Split, ByteLevel");
    }
    const Json* regex = split.at("pattern").find("Regex");
    if (regex == nullptr || resolve_escapes(regex->string()) != resolve_escapes(kPattern)) {
      unsupported("its split pattern is another");
    }
    const Json* invert = split.find("invert");
    if (split.at("behavior").string() != "Isolated" || (invert && invert->boolean())) {
      unsupported("its split is not Isolated");
    }
    const Json* regex_again = byte_level.find("use_regex");
    if (byte_level.at("add_prefix_space").boolean() || !regex_again || regex_again->boolean()) {
      unsupported("its ByteLevel step adds a space or splits again");
    }
  }

  const std::string& where_;
  std::map<char32_t, unsigned char> byte_of_;
};

}  // namespace

size_t piece_length(std::string_view text) {
  const auto kind = [&](size_t i) { return kKinds[static_cast<unsigned char>(text[i])]; };
  const auto run = [&](size_t i, Kind wanted) {
    while (i < text.size() && kind(i) == wanted) i++;
    return i;
  };
  const bool space = text[0] == ' ' && text.size() > 1;
  const Kind first = kind(space ? 1 : 0);
  if (first == Kind::letter || first == Kind::punctuation) return run(space ? 1 : 0, first);
  switch (kind(0)) {
    case Kind::blank:
      return run(0, Kind::blank);
    case Kind::line: {
      size_t end = run(0, Kind::line);
      while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) end++;
      return end;
    }
    default:
      return 1;  // a digit, or a control character
  }
}

Tokenizer::Tokenizer(std::string_view text, const std::string& where) {
  const Loader load(where);
  try {
    const Json json = Json::parse(text);
    load.check_kind(json);
    const auto check_id = [&](int64_t id) {
      if (id < 0 || id >= int64_t(kMaxTokens))
        load.corrupt("a token has the id " + std::to_string(id));
      bytes_.resize(std::max(bytes_.size(), size_t(id) + 1));
      return Token(id);
    };
    std::unordered_map<std::string_view, Token> ids;
    for (const auto& [entry, id] : json.at("model").at("vocab").object()) {
      ids.emplace(entry, check_id(id.integer()));
    }
    if (const Json* added = json.find("added_tokens")) {
      for (const Json& token : added->array()) {
        special_[token.at("content").string()] = check_id(token.at("id").integer());
      }
    }
    is_special_.resize(bytes_.size());
    for (const auto& [content, id] : special_) is_special_[size_t(id)] = true;
    byte_tokens_.fill(-1);
    for (const auto& [entry, id] : ids) {
      if (is_special_[size_t(id)]) continue;
      std::string& bytes = bytes_[size_t(id)];
      if (!bytes.empty()) load.corrupt("two tokens have the id " + std::to_string(id));
      bytes = load.bytes(std::string(entry));
      if (bytes.size() == 1) byte_tokens_[static_cast<unsigned char>(bytes[0])] = id;
    }
    const auto missing = std::find(byte_tokens_.begin(), byte_tokens_.end(), -1);
    if (missing != byte_tokens_.end()) {
      load.corrupt("no token stands for byte " + std::to_string(missing - byte_tokens_.begin()));
    }

    uint32_t rank = 0;
    for (const Json& merge : json.at("model").at("merges").array()) {
      std::string left, right;  // ["a", "b"], or "a b" in older files
      if (merge.is_array() && merge.array().size() == 2) {
        left = merge.array()[0].string();
        right = merge.array()[1].string();
      } else {
        const size_t space = merge.string().find(' ');
        if (space == std::string::npos) load.corrupt("a merge has one part");
        left = merge.string().substr(0, space);
        right = merge.string().substr(space + 1);
      }
      const auto a = ids.find(left), b = ids.find(right), both = ids.find(left + right);
      if (a == ids.end() || b == ids.end() || both == ids.end()) {
        load.corrupt("the merge of \"" + left + "\" and \"" + right +
                     "\" is not in the vocabulary");
      }
      if (is_special_[size_t(both->second)]) load.corrupt("a merge makes a special token");
      merges_.emplace(pair_key(a->second, b->second), Merge{rank++, both->second});
    }
  } catch (const JsonError& error) {
    load.corrupt(error.what());
  }
}

void Tokenizer::encode(std::string_view text, std::vector<Token>& tokens) {
  while (!text.empty()) {
    const size_t length = piece_length(text);
    encode_piece(text.substr(0, length), tokens);
    text.remove_prefix(length);
  }
}

void Tokenizer::encode_piece(std::string_view piece, std::vector<Token>& tokens) {
  if (piece.size() == 1) {
    tokens.push_back(byte_tokens_[static_cast<unsigned char>(piece[0])]);
    return;
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

  const int n = int(piece.size());
  parts_.clear();
  heap_.clear();
  for (int i = 0; i < n; i++) {
    const Token token = byte_tokens_[static_cast<unsigned char>(piece[size_t(i)])];
    parts_.push_back({token, i - 1, i + 1 < n ? i + 1 : -1});
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
  return token >= 0 && size_t(token) < is_special_.size() && is_special_[size_t(token)];
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
  return any ? kReplacement : "";
}

}  // namespace ringside
