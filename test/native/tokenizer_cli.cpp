// For make_encodings.py: tokenizes, or splits by a pattern, every text that it reads.
//
// tokenizer_cli json TOKENIZER.JSON | gguf PRE TOKENIZER.JSON | regex PATTERN
//
// Input: texts, each a uint32 length and its bytes. Output: for each a uint32 count and so many
// int32: tokens, or the starts and ends of matches in bytes. Little-endian. Ends with 2 and the
// message if the tokenizer or the pattern is refused.
#include <cstdio>

#include "error.h"
#include "gguf_fields.h"
#include "mapping.h"
#include "regex.h"
#include "tokenizer.h"

using namespace ringside;

namespace {

bool read(std::string& text) {
  uint32_t size = 0;
  if (std::fread(&size, sizeof size, 1, stdin) != 1) return false;
  text.resize(size);
  return std::fread(text.data(), 1, size, stdin) == size;
}

void write(const std::vector<int32_t>& values) {
  const uint32_t size = uint32_t(values.size());
  std::fwrite(&size, sizeof size, 1, stdout);
  std::fwrite(values.data(), sizeof(int32_t), values.size(), stdout);
}

void encode_all(Tokenizer& tokenizer) {
  std::vector<Token> tokens;
  for (std::string text; read(text);) {
    tokens.clear();
    tokenizer.encode(text, tokens);
    write(tokens);
  }
}

void match_all(Regex regex) {
  std::vector<Regex::Match> matches;
  for (std::string text; read(text);) {
    matches.clear();
    regex.find_all(text, matches);
    std::vector<int32_t> ends;
    for (const auto& [start, end] : matches) ends.insert(ends.end(), {int(start), int(end)});
    write(ends);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 1;
  const std::string kind = arguments[1], argument = arguments[count - 1];
  try {
    if (kind == "json") {
      Tokenizer tokenizer(read_text(argument), argument);
      encode_all(tokenizer);
    }
    if (kind == "gguf") {
      Tokenizer tokenizer(spec_from_gguf(gguf_fields(read_text(argument), arguments[2]), argument));
      encode_all(tokenizer);
    }
    if (kind == "regex") match_all(Regex(argument));
  } catch (const EngineError& error) {
    std::fprintf(stderr, "%s: %s\n", name_of(error.code()), error.what());
    return 2;
  }
  return 0;
}
