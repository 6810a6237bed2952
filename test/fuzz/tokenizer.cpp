// The first byte chooses: the rest is a tokenizer.json (tokens or an EngineError), or a text that a
// real tokenizer encodes to tokens whose bytes are the text, none of them special.
#include "tokenizer.h"

#include <cstdlib>

#include "error.h"
#include "mapping.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringside;
  static Tokenizer tokenizer(read_text(RINGSIDE_TOKENIZER), "tokenizer.json");
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] == '{') {
    try {
      Tokenizer parsed("{" + rest, "fuzz");
      std::vector<Token> tokens;
      parsed.encode("text 12", tokens);
    } catch (const EngineError&) {
    }
    return 0;
  }
  std::vector<Token> tokens;
  tokenizer.encode(rest, tokens);
  std::string joined;
  TextDecoder decoder(tokenizer);
  for (const Token token : tokens) {
    if (tokenizer.is_special(token)) std::abort();
    joined += tokenizer.bytes(token);
    decoder.decode(token);
  }
  if (joined != rest) std::abort();
  return 0;
}
