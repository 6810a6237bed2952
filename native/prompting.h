// What a model's files say of how it wants to be prompted: its tokenizer, the special tokens that
// mean something, and its chat template. Which prompt is made of them is the server's matter.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend.h"
#include "model_files.h"
#include "tokenizer.h"

namespace ringside {

struct Prompting {
  std::optional<Token> bos;  // stands before every prompt, if adds_bos (see Tokenizer)
  bool adds_bos = false;
  std::vector<Token> ends;  // of a text or of a turn, sorted, each once
  // GGUF's fim_*_token_id, where it has them.
  std::optional<Token> fim_prefix, fim_suffix, fim_middle, fim_repository, fim_separator;
  std::string chat_template;  // Jinja; "" for none
};

// The tokenizer of tokenizer.json or of GGUF's metadata. Throws EngineError MODEL_NOT_FOUND,
// MODEL_CORRUPT or MODEL_UNSUPPORTED.
TokenizerSpec tokenizer_spec(const ModelFiles& files);

// Never fails for what is missing: a model without a template has none. Throws EngineError
// MODEL_CORRUPT for files that are no JSON.
Prompting read_prompting(const ModelFiles& files, const Tokenizer& tokenizer);

}  // namespace ringside
