// The vocabulary of a tokenizer.json in the fields that a GGUF file has for it, so that the same
// tokens can be asked of both.
#pragma once

#include "json.h"
#include "tokenizer_spec.h"

namespace ringside {

// `pre`: tokenizer.ggml.pre, or "llama" for a model of that kind.
inline GgufTokenizerFields gguf_fields(const std::string& text, const std::string& pre) {
  const Json json = Json::parse(text);
  const Json& model = json.at("model");
  GgufTokenizerFields fields;
  const auto place = [&](int64_t id, const std::string& piece, int type) {
    const size_t n = std::max(fields.tokens.size(), size_t(id) + 1);
    fields.tokens.resize(n);
    fields.token_types.resize(n, 5);
    fields.tokens[size_t(id)] = piece;
    fields.token_types[size_t(id)] = type;
  };
  fields.model = pre == "llama" ? "llama" : "gpt2";
  for (const auto& [piece, id] : model.at("vocab").object()) {
    place(id.integer(), piece, pre == "llama" && is_byte_piece(piece) ? 6 : 1);
  }
  for (const Json& token : json.at("added_tokens").array()) {
    const bool special = token.at("special").boolean();
    place(token.at("id").integer(), token.at("content").string(), special ? 3 : 4);
  }
  if (pre == "llama") {  // the earlier in the vocabulary, the earlier merged
    for (size_t id = 0; id < fields.tokens.size(); id++) fields.scores.push_back(-float(id));
    return fields;
  }
  fields.pre = pre;
  for (const Json& merge : model.at("merges").array()) {
    fields.merges.push_back(merge.array()[0].string() + " " + merge.array()[1].string());
  }
  return fields;
}

}  // namespace ringside
