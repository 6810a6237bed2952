#include "sequence.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "gpu.h"
#include "loaded_model.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// Both read the same weights; a state rebuilt from a checkpoint and the log, or read in other
// batches, differs by the rounding of its sums. Only plain weights, which do not round activations.
constexpr double kTolerance = 2e-5;  // of the largest logit; the worst seen is in the commit
// With keys and values in float16, where such a difference may be a step of float16 instead: 1.1e-4
// at worst over the edits below, on AVX2 and the reference.
constexpr double kHalfTolerance = 1e-3;

struct Kind {
  const char* name;
  const char* changes;
};

constexpr Kind kKinds[] = {
    {"rings and lightning", ""},
    {"far hops", R"("ring_max_hop": 256, "ring_slots": 320)"},
    {"short ring", R"("ring_slots": 20)"},
    {"full attention", R"("ring_window": 0)"},
    {"rings only", R"("layer_group_size": 1)"},
    {"no sinks", R"("ring_sinks": 0)"},
};

struct Fixture {
  Fixture(const std::string& changes, const std::string& backend_name, int context = 1024,
          Type type = Type::f32)
      : backends(backend_name) {
    write_tiny_model(folder.path(), tiny_config(changes), "f32");
    ModelOptions options;
    options.context_tokens = context;
    options.kv_cache = type;
    loaded = std::make_unique<LoadedModel>(folder.path(), backends.both(), options);
    model = &loaded->model;
    sequence = std::make_unique<Sequence>(model->config(), model->placement(), context);
    fresh = std::make_unique<Sequence>(model->config(), model->placement(), context);
  }

  // Reads the rest of `tokens`: the logits after each position from `from` on, one after the other.
  std::vector<float> read(Sequence& into, std::span<const Token> tokens, size_t batch,
                          size_t from = 0) {
    std::vector<float> all;
    while (into.size() < tokens.size()) {
      const size_t start = into.size();
      const size_t n = std::min({batch, model->max_batch(), tokens.size() - start});
      model->read(into, tokens.subspan(start, n));
      for (size_t i = from > start ? from - start : 0; i < n; i++) {
        const auto logits = model->logits(i);
        all.insert(all.end(), logits.begin(), logits.end());
      }
    }
    return all;
  }

  // The difference between going on in `sequence` and reading all of `tokens` afresh, over every
  // position that is read: a hole in a ring shows only while a query still looks at it.
  double error(std::span<const Token> tokens, const Syntax& syntax, size_t batch) {
    const size_t common = sequence->common_prefix(tokens, syntax);
    const size_t kept = sequence->truncate(std::min(common, tokens.size() - 1));
    CHECK(kept <= std::min(common, tokens.size() - 1));
    CHECK(kept + Checkpoints::kEvery > std::min(common, tokens.size() - 1));
    sequence->set_syntax(syntax);
    const auto reused = read(*sequence, tokens, batch, kept);
    fresh->truncate(0);
    fresh->set_syntax(syntax);
    const auto expected = read(*fresh, tokens, 256, kept);
    REQUIRE(reused.size() == expected.size());
    double difference = 0, largest = 0;
    for (size_t i = 0; i < expected.size(); i++) {
      difference = std::max(difference, double(std::abs(reused[i] - expected[i])));
      largest = std::max(largest, double(std::abs(expected[i])));
    }
    return difference / largest;
  }

  TemporaryFolder folder;
  TestedBackends backends;
  std::unique_ptr<LoadedModel> loaded;
  Model* model = nullptr;
  std::unique_ptr<Sequence> sequence, fresh;
};

std::vector<Token> random_tokens(std::mt19937& random, size_t n) {
  std::vector<Token> tokens(n);
  for (Token& token : tokens) token = Token(random() % 320);
  return tokens;
}

}  // namespace

// Edits `tokens` again and again. Returns the largest difference from reading afresh.
double after_edits(Fixture& fixture, double tolerance) {
  double worst = 0;
  std::mt19937 random(7);
  auto tokens = random_tokens(random, 400);
  for (int edit = 0; edit < 25; edit++) {
    if (edit % 3 == 0) fixture.sequence->mark();
    const double error = fixture.error(tokens, {}, 1 + random() % 64);
    CAPTURE(edit);
    CHECK(error <= tolerance);
    worst = std::max(worst, error);
    // Mostly near the end, as typing does; sometimes anywhere; the length wanders over wraps.
    const size_t back = random() % 4 == 0 ? random() % tokens.size() : random() % 30;
    tokens.resize(tokens.size() - std::min(back, tokens.size() - 1));
    const auto more = random_tokens(random, random() % 90);
    if (tokens.size() + more.size() <= 1024) tokens.insert(tokens.end(), more.begin(), more.end());
  }
  return worst;
}

TEST_CASE("what is reused is what would be read afresh, after any edits") {
  double worst = 0, worst_half = 0;
  for (const std::string& backend : tested_backends()) {
    if (backend == "cuda" && gpu_is_emulated()) continue;  // takes minutes: see gpu_long_test.cpp
    for (const auto& [name, changes] : kKinds) {
      CAPTURE(backend);
      CAPTURE(name);
      Fixture fixture(changes, backend), half(changes, backend, 1024, Type::f16);
      worst = std::max(worst, after_edits(fixture, kTolerance));
      worst_half = std::max(worst_half, after_edits(half, kHalfTolerance));
    }
  }
  MESSAGE("worst error " << worst << ", in float16 " << worst_half);
}

// Read one by one again, a token has the very bits that it had: only what came to the ring and went
// in another form would show.
TEST_CASE("float16 rows come back from checkpoints bit by bit") {
  for (const auto& [name, changes] : kKinds) {
    CAPTURE(name);
    Fixture fixture(changes, "reference", 1024, Type::f16);
    std::mt19937 random(9);
    const auto tokens = random_tokens(random, 420);
    const auto expected = fixture.read(*fixture.fresh, tokens, 1, 300);
    fixture.read(*fixture.sequence, tokens, 1);
    const size_t kept = fixture.sequence->truncate(256);  // a checkpoint, out of any ring's reach
    CHECK(kept == 256);
    CHECK(fixture.read(*fixture.sequence, tokens, 1, 300) == expected);
  }
}

TEST_CASE("going back keeps exactly what was asked for while the ring and the log reach") {
  Fixture fixture("", "reference");
  std::mt19937 random(1);
  const auto tokens = random_tokens(random, 300);
  fixture.read(*fixture.sequence, tokens, 32);
  CHECK(fixture.sequence->truncate(400) == 300);
  CHECK(fixture.sequence->truncate(299) == 299);
  // 48 slots from 300 on hold 252 .. 299, the log too: it does not reach back to the checkpoint at
  // 256 from further than that, and a query at 275 looks back 16 positions.
  CHECK(fixture.sequence->truncate(275) == 275);
  CHECK(fixture.sequence->truncate(270) == 270);
  CHECK(fixture.sequence->truncate(267) == 256);  // looks at 251
  CHECK(fixture.sequence->truncate(255) == 128);
  CHECK(fixture.sequence->truncate(128) == 128);
  CHECK(fixture.sequence->truncate(5) == 0);
  CHECK(fixture.sequence->truncate(0) == 0);
}

TEST_CASE("a mark is where a way back begins, until what it stands on is forgotten") {
  for (const char* changes : {"", R"("ring_window": 0)"}) {
    CAPTURE(changes);
    Fixture fixture(changes, "reference");
    std::mt19937 random(5);
    const auto tokens = random_tokens(random, 230);
    const auto read = [&](size_t from, size_t end, Token other = 0) {
      std::vector<Token> part(tokens.begin() + ptrdiff_t(from), tokens.begin() + ptrdiff_t(end));
      part[0] = Token((part[0] + other) % 320);
      fixture.model->read(*fixture.sequence, part);
    };
    // The difference of the next token's logits from those of all that is held, read afresh.
    const auto error = [&] {
      const auto held = fixture.sequence->tokens();
      std::vector<Token> all(held.begin(), held.end());
      all.push_back(7);
      return fixture.error(all, {}, 16);
    };
    fixture.read(*fixture.sequence, std::span(tokens).first(190), 32);
    fixture.sequence->mark();
    read(190, 205);
    CHECK(fixture.sequence->truncate(195) == 195);
    CHECK(error() <= kTolerance);
    CHECK(fixture.sequence->truncate(190) == 190);  // the mark itself
    CHECK(error() <= kTolerance);
    CHECK(fixture.sequence->truncate(188) == 188);  // behind it: it says nothing any more
    read(188, 200, 1);
    CHECK(fixture.sequence->truncate(195) == 195);
    CHECK(error() <= kTolerance);
  }
}

TEST_CASE("full attention and its log go back as far as the log") {
  Fixture fixture(R"("ring_window": 0)", "reference");
  std::mt19937 random(1);
  fixture.read(*fixture.sequence, random_tokens(random, 700), 128);
  CHECK(fixture.sequence->truncate(600) == 600);
  CHECK(fixture.sequence->truncate(300) == 300);  // the log begins at 188, the checkpoint is at 256
  CHECK(fixture.sequence->truncate(200) == 128);
}

TEST_CASE("tokens read with other features are read again") {
  Fixture fixture("", "reference");
  std::mt19937 random(3);
  auto tokens = random_tokens(random, 200);
  const auto common = [&](const Syntax& syntax) {
    return fixture.sequence->common_prefix(tokens, syntax);
  };
  CHECK(fixture.error(tokens, {190, {1, 3}}, 32) <= kTolerance);
  CHECK(common({190, {1, 3}}) == 200);
  CHECK(common({190, {1}}) == 190);
  CHECK(common({195, {1, 3}}) == 190);
  CHECK(common({180, {1, 3}}) == 180);
  CHECK(common({190, {}}) == 190);
  CHECK(common({500, {2}}) == 190);
  for (const Syntax& syntax :
       {Syntax{190, {1}}, Syntax{195, {1}}, Syntax{0, {}}, Syntax{150, {0, 4}}, Syntax{500, {2}}}) {
    CHECK(fixture.error(tokens, syntax, 32) <= kTolerance);
  }
}

TEST_CASE("features change the logits") {
  Fixture fixture("", "reference");
  std::mt19937 random(3);
  const auto tokens = random_tokens(random, 40);
  const auto plain = fixture.read(*fixture.sequence, tokens, 32);
  fixture.fresh->set_syntax({39, {0, 2}});
  CHECK(fixture.read(*fixture.fresh, tokens, 32) != plain);
}

TEST_CASE("a context that is no multiple of the checkpoints fills to its end") {
  for (const auto& [name, changes] : kKinds) {
    CAPTURE(name);
    Fixture fixture(changes, "reference", 333);
    std::mt19937 random(5);
    auto tokens = random_tokens(random, 333);
    CHECK(fixture.error(tokens, {}, 50) <= kTolerance);
    tokens[150] = 1;
    CHECK(fixture.error(tokens, {}, 50) <= kTolerance);
  }
}
