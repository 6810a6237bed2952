// What guessing ahead gains: draft TEXTS MODEL [TOKENIZER]
//
// TEXTS: lines as draft_texts.mjs writes them. Of each, the prompt is read, and then the output is
// written twice in turns: a token at a time, and with guesses that are kept as far as the output
// agrees. So any weights will do, and the text is what a person wrote; the time is the real one of
// every pass, with the logits of all its tokens and all ways back. Prints tokens a pass, the share
// of right guesses, also by the tokens that matched before them, and the quartiles of the texts'
// ratios of the two times: the machine may be shared.
//
// TOKENIZER: a model whose tokenizer is used, where MODEL's own knows no code.
#include "draft.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "host_backend.h"
#include "json.h"
#include "loaded_model.h"
#include "prompting.h"
#include "timing.h"
#include "tokenizer.h"

using namespace ringside;

namespace {

constexpr size_t kMostTokens = 256, kMostTokensOfLarge = 48;  // of one output
constexpr size_t kMostPrompt = 1536;
constexpr double kLongPass = 0.02;  // seconds

struct Totals {
  size_t tokens = 0, passes = 0, guessed = 0, right = 0;
  // Of guesses that a match of so many tokens stands before: all up to the first wrong one, and
  // those that were right. Whether or not they were read: the first Draft::kMost of each.
  std::array<size_t, Draft::kMostMatch + 1> tried{}, held{};
  std::vector<double> ratios;  // of each text: how many times as fast it was with a draft
};

// How right the guesses behind read and output[0] are.
void count(std::span<const Token> read, std::span<const Token> output, Totals& totals) {
  const auto [tokens, next] = Draft::longest_match(read, output[0]);
  for (size_t n = 0; tokens > 0 && n < Draft::kMost && n + 1 < output.size(); n++) {
    if (next + n >= read.size()) break;
    const size_t matched = std::min(tokens + n, Draft::kMostMatch);
    totals.tried[matched]++;
    if (read[next + n] != output[n + 1]) break;
    totals.held[matched]++;
  }
}

// Writes output, of which the first token is known, behind `prompt` that is read. Returns seconds.
double write(Model& model, Sequence& sequence, std::span<const Token> output, Draft* draft,
             Totals& totals) {
  const double start = now();
  std::vector<Token> batch;
  for (size_t at = 0; at + 1 < output.size();) {
    batch.assign(1, output[at]);
    if (draft != nullptr) {
      const size_t most = output.size() - at - 2;
      count(sequence.tokens(), output.subspan(at), totals);
      const auto guesses = draft->propose(sequence.tokens(), output[at], most);
      batch.insert(batch.end(), guesses.begin(), guesses.end());
    }
    const size_t n = batch.size();
    if (n > 1) sequence.mark();
    model.read(sequence, batch, n > 1 ? Outputs::all : Outputs::last);
    model.head(0, n);
    size_t read = 1;
    while (read < n && batch[read] == output[at + read]) read++;
    if (read < n) sequence.truncate(sequence.size() - (n - read));
    at += read;
    if (draft == nullptr) continue;
    totals.passes++;
    totals.tokens += read;
    totals.guessed += n - 1;
    totals.right += read - 1;
  }
  return now() - start;
}

void read(Model& model, Sequence& sequence, std::span<const Token> tokens) {
  while (!tokens.empty()) {
    const size_t n = std::min(tokens.size(), model.max_batch());
    model.read(sequence, tokens.first(n), Outputs::none);
    tokens = tokens.subspan(n);
  }
}

int run(const char* texts, const char* path, const char* tokenizer_path) {
  const auto backend = make_backend("auto", 0);
  ModelOptions options;
  options.context_tokens = 2048;
  LoadedModel loaded(path, *backend, options);
  Model& model = loaded.model;
  const ModelFiles tokenizer_files(tokenizer_path);
  Tokenizer tokenizer(tokenizer_spec(tokenizer_files));
  Sequence sequence(model.config(), model.placement(), model.context_tokens());
  Draft draft(model.routed_share());
  std::printf("%s, %s, %d threads, routed share %.2f\n", path, std::string(backend->name()).c_str(),
              backend->threads(), model.routed_share());

  std::map<std::string, Totals> kinds;
  std::ifstream file(texts);
  size_t most = kMostTokens;
  for (std::string line; std::getline(file, line);) {
    const Json text = Json::parse(line);
    std::vector<Token> prompt, output;
    tokenizer.encode(text.at("prompt").string(), prompt);
    tokenizer.encode(text.at("output").string(), output);
    if (prompt.size() > kMostPrompt) continue;
    output.resize(std::min(output.size(), most));
    if (output.size() < 2) continue;
    sequence.truncate(0);
    read(model, sequence, prompt);
    Totals& totals = kinds[text.at("kind").string()];
    const bool first = totals.ratios.size() % 2 == 0;
    double seconds[2];  // alone, drafted
    for (const bool drafted : {first, !first}) {
      sequence.truncate(prompt.size());
      read(model, sequence, std::span(prompt).subspan(sequence.size()));
      seconds[drafted] = write(model, sequence, output, drafted ? &draft : nullptr, totals);
    }
    totals.ratios.push_back(seconds[0] / seconds[1]);
    if (seconds[0] / double(output.size()) > kLongPass) most = kMostTokensOfLarge;
  }
  for (auto& [kind, t] : kinds) {
    std::sort(t.ratios.begin(), t.ratios.end());
    const auto quartile = [&](size_t q) { return t.ratios[t.ratios.size() * q / 4]; };
    std::printf(
        "%-6s  %zu texts, %zu tokens: %.2f a pass, %.0f %% of %zu guesses right; %.2f (%.2f "
        "to %.2f) times as fast\n",
        kind.c_str(), t.ratios.size(), t.tokens, double(t.tokens) / double(t.passes),
        100.0 * double(t.right) / double(std::max<size_t>(1, t.guessed)), t.guessed, quartile(2),
        quartile(1), quartile(3));
    for (size_t m = 0; m < t.tried.size(); m++) {
      if (t.tried[m] == 0) continue;
      std::printf("%8zu matched: %.2f of %zu right\n", m, double(t.held[m]) / double(t.tried[m]),
                  t.tried[m]);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: draft TEXTS MODEL [TOKENIZER]\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], argc > 3 ? argv[3] : argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
