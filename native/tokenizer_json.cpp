// tokenizer.json, as Hugging Face `tokenizers` writes it.
#include <algorithm>

#include "error.h"
#include "json.h"
#include "tokenizer_spec.h"
#include "tokenizer_split.h"

namespace ringside {

namespace {

constexpr size_t kMaxTokens = 1 << 24;
// Ids that no token has, where a file names few tokens: each takes 65 bytes, whatever the file's
// size. Files leave out a few thousand at most, before the tokens that were added later.
constexpr size_t kMaxGap = 1 << 16;
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

class Reader {
 public:
  Reader(const Json& json, const std::string& where) : json_(json), where_(where) {
    spec_.where = where;
  }

  TokenizerSpec read() {
    const Json& model = json_.at("model");
    check_model(model);
    const Json* added = json_.find("added_tokens");
    named_ = model.at("vocab").object().size() + (added ? added->array().size() : 0);
    read_vocabulary(model.at("vocab"));
    read_added_tokens();
    read_normalizer();
    if (const Json* step = json_.find("pre_tokenizer")) read_pre_tokenizer(*step);
    read_kind(model);
    if (const Json* step = json_.find("post_processor")) read_post_processor(*step);
    read_merges(model.at("merges"));
    return std::move(spec_);
  }

 private:
  [[noreturn]] void unsupported(const std::string& what) const { fail_unsupported(where_, what); }

  static bool flag(const Json& object, std::string_view key, bool absent = false) {
    const Json* value = object.find(key);
    return value ? value->boolean() : absent;
  }

  static std::string string_of(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value ? value->string() : "";
  }

  void check_model(const Json& model) const {
    const std::string type = string_of(model, "type");
    if (type != "BPE" && !type.empty()) unsupported("its model is " + type);
    if (const Json* dropout = model.find("dropout"); dropout && dropout->number() != 0) {
      unsupported("its model sets dropout");
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!string_of(model, key).empty()) unsupported(std::string("its model sets ") + key);
    }
  }

  Token check_id(const Json& value) {
    const int64_t id = value.integer();
    if (id < 0 || id >= int64_t(kMaxTokens)) {
      fail_corrupt(where_, "a token has the id " + std::to_string(id));
    }
    if (size_t(id) >= 2 * named_ + kMaxGap) {
      fail_corrupt(where_, "a token has the id " + std::to_string(id) + ", and there are only " +
                               std::to_string(named_) + " tokens");
    }
    if (size_t(id) >= spec_.pieces.size()) {
      spec_.pieces.resize(size_t(id) + 1);
      spec_.types.resize(size_t(id) + 1, TokenType::unused);
    }
    return Token(id);
  }

  void read_vocabulary(const Json& vocabulary) {
    ids_.reserve(vocabulary.object().size());
    for (const auto& [piece, value] : vocabulary.object()) {
      const Token id = check_id(value);
      if (spec_.types[size_t(id)] != TokenType::unused) {
        fail_corrupt(where_, "two tokens have the id " + std::to_string(id));
      }
      spec_.pieces[size_t(id)] = piece;
      spec_.types[size_t(id)] = TokenType::normal;
      ids_.emplace(piece, id);
    }
  }

  void read_added_tokens() {
    const Json* added = json_.find("added_tokens");
    if (!added) return;
    for (const Json& token : added->array()) {
      const Token id = check_id(token.at("id"));
      spec_.pieces[size_t(id)] = token.at("content").string();
      const bool literal = !flag(token, "special") && is_literal(spec_.pieces[size_t(id)]);
      spec_.types[size_t(id)] = literal ? TokenType::literal : TokenType::special;
    }
  }

  void read_normalizer() {
    const Json* normalizer = json_.find("normalizer");
    if (!normalizer) return;
    if (string_of(*normalizer, "type") != "Sequence") return read_normalizer(*normalizer);
    for (const Json& step : normalizer->at("normalizers").array()) read_normalizer(step);
  }

  void read_normalizer(const Json& step) {
    const std::string type = step.at("type").string();
    if (type == "NFC") {
      spec_.normalizes_nfc = true;
    } else if (type == "Prepend" && step.at("prepend").string() == kSpace) {
      spec_.space_prefix = SpacePrefix::always;
    } else if (type == "Replace" && string_of(step.at("pattern"), "String") == " " &&
               step.at("content").string() == kSpace) {
      replaces_spaces_ = true;
    } else {
      unsupported("its normalizer has the step " + type);
    }
  }

  void read_pre_tokenizer(const Json& step) {
    const std::string type = step.at("type").string();
    if (is_byte_level_) unsupported("its pre_tokenizer goes on after ByteLevel");
    if (type == "Sequence") {
      for (const Json& part : step.at("pretokenizers").array()) read_pre_tokenizer(part);
    } else if (type == "Split") {
      read_split(step);
    } else if (type == "Digits") {
      // The library's own notion of a digit, which is not its regular expressions'.
      const bool single = flag(step, "individual_digits");
      spec_.steps.push_back({single ? R"(\p{Numeric})" : R"(\p{Numeric}+)"});
    } else if (type == "ByteLevel") {
      if (flag(step, "add_prefix_space", true)) unsupported("its ByteLevel step adds a space");
      if (flag(step, "use_regex", true)) spec_.steps.push_back({std::string(kGpt2Pattern)});
      is_byte_level_ = true;
    } else if (type == "Metaspace") {
      read_metaspace(step);
    } else {
      unsupported("its pre_tokenizer has the step " + type);
    }
  }

  void read_split(const Json& step) {
    using Behavior = SplitStep::Behavior;
    constexpr std::pair<std::string_view, Behavior> kBehaviors[] = {
        {"Isolated", Behavior::isolated},
        {"Removed", Behavior::removed},
        {"MergedWithPrevious", Behavior::merged_with_previous},
        {"MergedWithNext", Behavior::merged_with_next},
        {"Contiguous", Behavior::contiguous}};
    const std::string& behavior = step.at("behavior").string();
    const auto known = std::find_if(std::begin(kBehaviors), std::end(kBehaviors),
                                    [&](const auto& row) { return row.first == behavior; });
    if (known == std::end(kBehaviors)) unsupported("its split is " + behavior);
    const Json* regex = step.at("pattern").find("Regex");
    std::string pattern = regex ? regex->string() : "";
    if (!regex) {
      for (const char c : step.at("pattern").at("String").string()) {
        if (std::string_view("\\|()[]{}*+?.^$-&").find(c) != std::string_view::npos)
          pattern += '\\';
        pattern += c;
      }
    }
    spec_.steps.push_back({pattern, known->second, flag(step, "invert")});
  }

  void read_metaspace(const Json& step) {
    if (step.at("replacement").string() != kSpace)
      unsupported("its Metaspace is another character");
    const Json* scheme = step.find("prepend_scheme");
    const std::string prepend = scheme                                 ? scheme->string()
                                : flag(step, "add_prefix_space", true) ? "always"
                                                                       : "never";
    if (prepend != "never") spec_.space_prefix = SpacePrefix::unless_spaced;
    spec_.splits_at_spaces = flag(step, "split", true);
    replaces_spaces_ = true;
  }

  void read_kind(const Json& model) {
    const bool byte_fallback = flag(model, "byte_fallback");
    spec_.ignore_merges = flag(model, "ignore_merges");
    if (is_byte_level_) {
      if (byte_fallback || replaces_spaces_ || spec_.space_prefix != SpacePrefix::none) {
        unsupported("it is byte-level and of SentencePiece's style at once");
      }
      return;
    }
    if (!byte_fallback) unsupported("text outside its vocabulary has no tokens");
    if (!replaces_spaces_ || !spec_.steps.empty()) unsupported("it treats spaces in another way");
    if (spec_.ignore_merges) unsupported("it ignores merges without splitting text");
    spec_.kind = TokenizerKind::sentencepiece;
    mark_bytes();
  }

  // A special token before every text is the one that texts begin with. What comes behind, and what
  // pairs of texts are given, no prompt has.
  void read_post_processor(const Json& step) {
    const std::string type = step.at("type").string();
    if (type == "Sequence") {
      for (const Json& part : step.at("processors").array()) read_post_processor(part);
    }
    if (type != "TemplateProcessing") return;
    const auto& single = step.at("single").array();
    const Json* token = single.empty() ? nullptr : single.front().find("SpecialToken");
    if (!token) return;
    const std::string& text = token->at("id").string();
    for (size_t id = 0; id < spec_.pieces.size(); id++) {
      if (spec_.types[id] != TokenType::special || spec_.pieces[id] != text) continue;
      spec_.bos = Token(id);
      spec_.adds_bos = true;
    }
  }

  void mark_bytes() {
    for (size_t id = 0; id < spec_.pieces.size(); id++) {
      if (spec_.types[id] == TokenType::normal && is_byte_piece(spec_.pieces[id])) {
        spec_.types[id] = TokenType::byte;
      }
    }
  }

  void read_merges(const Json& merges) {
    spec_.merges.reserve(merges.array().size());
    for (const Json& merge : merges.array()) {  // ["a", "b"], or "a b" in older files
      if (merge.is_array() && merge.array().size() == 2) {
        add_merge(spec_, ids_, merge.array()[0].string(), merge.array()[1].string());
      } else {
        add_merge(spec_, ids_, merge.string());
      }
    }
  }

  const Json& json_;
  const std::string& where_;
  TokenizerSpec spec_;
  TokenIds ids_;      // of the document's own strings
  size_t named_ = 0;  // tokens in the file
  bool is_byte_level_ = false;
  bool replaces_spaces_ = false;
};

}  // namespace

TokenizerSpec spec_from_json(std::string_view text, const std::string& where) {
  try {
    const Json json = Json::parse(text);
    return Reader(json, where).read();
  } catch (const JsonError& error) {
    fail_corrupt(where, error.what());
  }
}

void fail_corrupt(const std::string& where, const std::string& what) {
  throw EngineError(ErrorCode::model_corrupt,
                    where + ": " + what + ". Download or export the model again.");
}

void fail_unsupported(const std::string& where, const std::string& what) {
  throw EngineError(ErrorCode::model_unsupported,
                    where + ": " + what +
                        ". This engine reads byte-level BPE and SentencePiece BPE with byte "
                        "fallback. Choose another model.");
}

bool is_byte_piece(std::string_view piece) {
  const auto is_digit = [&](size_t i) {
    return std::string_view("0123456789ABCDEF").find(piece[i]) != std::string_view::npos;
  };
  return piece.size() == 6 && piece.starts_with("<0x") && is_digit(3) && is_digit(4) &&
         piece[5] == '>';
}

bool is_literal(std::string_view piece) {
  return !piece.empty() && utf8_length(piece, 0) == piece.size();
}

void add_merge(TokenizerSpec& spec, const TokenIds& ids, std::string_view left,
               std::string_view right) {
  std::string both(left);
  both += right;
  const auto a = ids.find(left), b = ids.find(right), merged = ids.find(both);
  if (a == ids.end() || b == ids.end() || merged == ids.end()) {
    fail_corrupt(spec.where, "the merge of \"" + std::string(left) + "\" and \"" +
                                 std::string(right) + "\" is not in the vocabulary");
  }
  spec.merges.push_back({a->second, b->second, merged->second});
}

void add_merge(TokenizerSpec& spec, const TokenIds& ids, std::string_view both) {
  const size_t space = both.find(' ', 1);  // a piece may start with one
  if (space == std::string_view::npos) fail_corrupt(spec.where, "a merge has one part");
  add_merge(spec, ids, both.substr(0, space), both.substr(space + 1));
}

}  // namespace ringside
