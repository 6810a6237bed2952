// The first byte chooses what the rest is: a tokenizer.json ({), a pattern and a text that it
// splits (/), a vocabulary as GGUF has it (g), or a text that real tokenizers encode to tokens
// whose bytes are the text, none of them special.
#include "tokenizer.h"

#include <cstdlib>

#include "error.h"
#include "mapping.h"

using namespace ringside;

namespace {

void encode_checked(Tokenizer& tokenizer, const std::string& text, bool bytes_come_back) {
  std::vector<Token> tokens;
  tokenizer.encode(text, tokens);
  std::string joined;
  TextDecoder decoder(tokenizer);
  for (const Token token : tokens) {
    if (tokenizer.is_special(token)) std::abort();
    joined += tokenizer.bytes(token);
    decoder.decode(token);
  }
  if (bytes_come_back && joined != text) std::abort();
}

// The first line is the pattern. No match overlaps another, and no text takes more than its share
// of steps: a state of each choice for each byte, and on the way to each at most the program.
void split(const std::string& input) {
  const size_t line = input.find('\n');
  const std::string text = line == std::string::npos ? "" : input.substr(line + 1);
  Regex regex(input.substr(0, line));
  std::vector<Regex::Match> matches;
  regex.find_all(text, matches);
  size_t end = 0;
  for (const Regex::Match& match : matches) {
    if (match.start < end || match.end < match.start || match.end > text.size()) std::abort();
    end = match.end;
  }
  if (regex.steps() > regex.most_steps(text.size())) std::abort();
}

// Each line: a digit, the type; a character, the score or the splitting; the piece.
void read_gguf(const std::string& input) {
  GgufTokenizerFields fields;
  fields.model = input.size() % 2 ? "llama" : "gpt2";
  fields.pre = input.size() % 4 < 2 ? "qwen2" : "llama-bpe";
  for (int byte = 0; byte < 256; byte++) {
    char piece[8];
    std::snprintf(piece, sizeof piece, "<0x%02X>", byte);
    fields.tokens.push_back(piece);
    fields.token_types.push_back(6);
    fields.scores.push_back(0);
  }
  for (size_t at = 0; at + 2 < input.size();) {
    const size_t end = std::min(input.find('\n', at + 2), input.size());
    fields.token_types.push_back(input[at] - '0');
    fields.scores.push_back(float(input[at + 1]));
    fields.tokens.push_back(input.substr(at + 2, end - at - 2));
    fields.merges.push_back(input.substr(at + 2, end - at - 2));
    at = end + 1;
  }
  Tokenizer tokenizer(spec_from_gguf(fields, "fuzz"));
  encode_checked(tokenizer, input, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (data[0] == '{') {
      Tokenizer parsed("{" + rest, "fuzz");
      encode_checked(parsed, "text 12 \xF0\x9F\x99\x82", false);
      return 0;
    }
    if (data[0] == '/') {
      split(rest);
      return 0;
    }
    if (data[0] == 'g') {
      read_gguf(rest);
      return 0;
    }
  } catch (const EngineError&) {
    return 0;
  }
  static Tokenizer ours(read_text(RINGSIDE_FIXTURES "/tiny/tokenizer.json"), "tokenizer.json");
  static Tokenizer qwen2(read_text(RINGSIDE_FIXTURES "/tokenizers/qwen2.json"), "qwen2.json");
  static Tokenizer llama(read_text(RINGSIDE_FIXTURES "/tokenizers/codellama.json"), "llama.json");
  encode_checked(ours, rest, true);
  encode_checked(qwen2, rest, true);
  encode_checked(llama, rest, false);
  return 0;
}
