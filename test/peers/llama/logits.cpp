// logits MODEL OUT BACKEND TOKEN...: writes the logits after each token to OUT, float32 [n, vocab].
// BACKEND is "auto", or one of kernels/backend.h. The addon gives no logits: only tests ask for
// them.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <vector>

#include "loaded_model.h"

using namespace ringside;

namespace {

void write_logits(const char* path, const char* out, const char* backend_name,
                  const std::vector<Token>& tokens) {
  const auto backend = make_backend(backend_name, 2);
  LoadedModel loaded(path, *backend, {.context_tokens = 512});
  Sequence sequence = loaded.sequence();
  std::ofstream file(out, std::ios::binary);
  loaded.model.read(sequence, tokens);
  for (size_t i = 0; i < tokens.size(); i++) {
    const std::span<const float> logits = loaded.model.logits(i);
    file.write(reinterpret_cast<const char*>(logits.data()), std::streamsize(logits.size_bytes()));
  }
  if (!file.flush()) throw std::runtime_error("cannot write the logits");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "logits MODEL OUT BACKEND TOKEN...\n");
    return 2;
  }
  std::vector<Token> tokens;
  for (int i = 4; i < argc; i++) tokens.push_back(Token(std::atoi(argv[i])));
  try {
    write_logits(argv[1], argv[2], argv[3], tokens);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
