// Measures a model folder: native_bench [FOLDER|-] [BACKEND] [THREADS]. "-" makes one of the
// embedded model's size with random weights.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "engine.h"
#include "mapping.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

const char* kEmbeddedSize = R"("vocab_size": 8192, "hidden_size": 256, "intermediate_size": 768,
  "moe_intermediate_size": 64, "num_hidden_layers": 6, "head_dim": 64, "group_norm_size": 4,
  "max_position_embeddings": 4096, "num_experts": 20, "num_experts_per_tok": 3, "ring_window": 128,
  "ring_max_hop": 256, "ring_slots": 512, "ring_sinks": 4)";

template <typename F>
double milliseconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path folder = argc > 1 ? argv[1] : "-";
  const TemporaryFolder temporary;
  if (folder == "-") {
    folder = temporary.path();
    write_tiny_model(folder, tiny_config(kEmbeddedSize), "mixed");
    std::filesystem::copy(fixtures() / "tiny" / "tokenizer.json", folder / "tokenizer.json");
  }
  LoadOptions options;
  if (argc > 2) options.backend = argv[2];
  if (argc > 3) options.threads = std::atoi(argv[3]);
  std::unique_ptr<Engine> engine;
  const double load_ms =
      milliseconds([&] { engine = std::make_unique<Engine>(folder, options, [](float) {}); });
  std::printf("load %.1f ms, %s, %d threads, weights %.2f MB, sequence %.1f MB\n", load_ms,
              std::string(engine->backend().name()).c_str(), engine->backend().threads(),
              double(engine->model().memory().weights) / 1e6,
              double(engine->model().memory().sequence) / 1e6);

  std::mt19937 random(1);
  GenerateRequest request;
  const int n = std::min(2048, engine->model().context_tokens() / 2);
  for (int i = 0; i < n; i++) request.tokens.push_back(int(5 + random() % 300));
  request.max_tokens = 1;
  const std::atomic<bool> go_on = false;
  const auto ignore = [](std::string_view) {};
  for (int again = 0; again < 3; again++) {
    engine->reset();
    const auto read = engine->generate(request, go_on, ignore);
    std::printf("read %d tokens: %.1f ms, %.0f tokens/s\n", n, read.read_ms,
                n / read.read_ms * 1e3);
  }
  Sequence sequence(engine->model().config(), engine->backend(), engine->model().context_tokens());
  Model model(engine->files(), engine->backend(), {}, [](float) {});
  model.forward(sequence, {request.tokens.data(), 128});
  const double decode_ms = milliseconds([&] {
    for (int i = 0; i < 256; i++) model.forward(sequence, {&request.tokens[size_t(i)], 1});
  });
  std::printf("decode: %.3f ms a token, %.0f tokens/s\n", decode_ms / 256, 256e3 / decode_ms);

  for (const int back : {1, 20, 100, 600}) {
    request.tokens[size_t(n - back)] ^= 1;
    const auto edit = engine->generate(request, go_on, ignore);
    std::printf("edit %d back: truncate %.3f ms, reused %d, read %d in %.2f ms\n", back,
                edit.truncate_ms, edit.reused_tokens, edit.read_tokens, edit.read_ms);
  }

  const std::string source =
      read_text(RINGSIDE_FIXTURES "/../../../native/sequence.cpp").substr(0, 8192);
  std::vector<Token> tokens;
  const double first = milliseconds([&] { engine->tokenizer().encode(source, tokens); });
  const double again = milliseconds([&] { engine->tokenizer().encode(source, tokens); });
  std::printf("encode %zu bytes: %.2f ms, again %.2f ms\n", source.size(), first, again);
}
