#include "engine.h"

#include <doctest/doctest.h>

#include <thread>

#include "error.h"
#include "requests.h"
#include "tiny_model.h"
#include "worker.h"

using namespace ringside;

namespace {

Engine load(const std::string& backend = "reference", int context = 0) {
  LoadOptions options;
  options.backend = backend;
  options.threads = 1;
  options.model.context_tokens = context;
  return Engine(fixtures() / "tiny", options, [](float) {});
}

void check_refused(Engine& engine, const GenerateRequest& request, const std::string& expected) {
  CAPTURE(expected);
  try {
    engine.generate(request, kGoOn, kIgnore);
    FAIL("the request was accepted");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::bad_request);
    CHECK(std::string(error.what()).find(expected) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("greedy text is the same afresh, reused, and after other requests") {
  Engine engine = load(), other = load();
  std::string heard;
  const auto first = engine.generate(request(engine, kText, 24), kGoOn,
                                     [&](std::string_view text) { heard += text; });
  CHECK(!first.tokens.empty());
  CHECK(heard == first.text);
  CHECK(first.reused_tokens == 0);
  const auto n = request(engine, kText, 0).tokens.size();
  CHECK(first.read_tokens == int(n));

  const auto again = engine.generate(request(engine, kText, 24), kGoOn, kIgnore);
  CHECK(again.text == first.text);
  CHECK(again.reused_tokens + again.read_tokens == int(n));
  CHECK(again.read_tokens >= 1);
  engine.generate(request(engine, "something else", 8), kGoOn, kIgnore);
  CHECK(engine.generate(request(engine, kText, 24), kGoOn, kIgnore).text == first.text);
  CHECK(other.generate(request(other, kText, 24), kGoOn, kIgnore).text == first.text);
  CHECK(first.tokens.size() == first.log_probabilities.size());
}

TEST_CASE("typing on reads only what was typed") {
  Engine engine = load();
  engine.generate(request(engine, kText, 1), kGoOn, kIgnore);
  const size_t before = request(engine, kText, 0).tokens.size();
  const auto typed = request(engine, kText + "x = ", 1);
  const auto result = engine.generate(typed, kGoOn, kIgnore);
  CHECK(result.reused_tokens >= int(before) - 1);
  CHECK(result.reused_tokens + result.read_tokens == int(typed.tokens.size()));
}

TEST_CASE("a cancel is heard between batches and between tokens, and what was read stays read") {
  Engine engine = load();
  const std::atomic<bool> cancelled = true;
  const auto before = engine.generate(request(engine, kText, 8), cancelled, kIgnore);
  CHECK(before.stop == StopReason::cancelled);
  CHECK(before.read_tokens == 0);

  std::atomic<bool> stop = false;
  GenerateRequest sampled = request(engine, kText, 200);
  sampled.sampling.temperature = 1.0f;
  const auto during = engine.generate(sampled, stop, [&](std::string_view) { stop = true; });
  CHECK(during.stop == StopReason::cancelled);
  CHECK(during.tokens.size() < 20);
  const auto after = engine.generate(request(engine, kText, 1), kGoOn, kIgnore);
  CHECK(after.read_tokens == 1);

  // What waited for its turn and was cancelled meanwhile takes nothing from who comes next.
  const auto waited = engine.generate(request(engine, "something else", 8), cancelled, kIgnore);
  CHECK(waited.stop == StopReason::cancelled);
  CHECK(engine.score(request(engine, "something else", 0).tokens, {}, cancelled).empty());
  CHECK(engine.generate(request(engine, kText, 1), kGoOn, kIgnore).read_tokens == 1);
}

TEST_CASE("generation ends where it says it ends") {
  Engine engine = load("reference", 100);
  CHECK(engine.generate(request(engine, kText, 3), kGoOn, kIgnore).tokens.size() <= 3);
  CHECK(engine.generate(request(engine, kText, 0), kGoOn, kIgnore).stop == StopReason::max_tokens);

  // With random weights every end comes for some seed.
  bool line = false, end = false, full = false;
  for (int seed = 0; seed < 60; seed++) {
    GenerateRequest sampled = request(engine, "for (int i", 200);
    sampled.sampling = {1.5f, 1.0f, uint64_t(seed)};
    sampled.single_line = seed % 2 == 0;
    const auto result = engine.generate(sampled, kGoOn, kIgnore);
    line = line || result.stop == StopReason::line;
    end = end || result.stop == StopReason::end;
    full = full || result.stop == StopReason::context_full;
    if (result.stop == StopReason::context_full) {
      CHECK(result.tokens.size() + sampled.tokens.size() == 101);
    }
    if (sampled.single_line) {
      const size_t text = result.text.find_first_not_of("\r\n\t ");
      if (text != std::string::npos) {
        CHECK(result.text.find_first_of("\r\n", text) == std::string::npos);
      }
    }
  }
  CHECK(line);
  CHECK(end);
  CHECK(full);
}

TEST_CASE("a special token's text comes behind the bytes of a character that it cuts off") {
  Engine engine = load();
  const Tokenizer& tokenizer = engine.tokenizer();
  int cut_off = 0;
  for (int seed = 0; seed < 60; seed++) {
    GenerateRequest sampled = request(engine, kText, 200);
    sampled.sampling = {1.5f, 1.0f, uint64_t(seed)};
    sampled.ends = {0};
    const auto result = engine.generate(sampled, kGoOn, kIgnore);
    std::string expected;
    TextDecoder decoder(tokenizer);
    for (const Token token : result.tokens) {
      if (token == 0) continue;
      if (!tokenizer.is_special(token)) {
        expected += decoder.decode(token);
        continue;
      }
      const std::string held = decoder.finish();
      cut_off += held.empty() ? 0 : 1;
      expected += held;
      for (const auto& [text, id] : tokenizer.special_tokens())
        if (id == token) expected += text;
    }
    CHECK(result.text == expected);
  }
  CHECK(cut_off > 0);
}

TEST_CASE("generation ends once its first line is less likely than was asked for") {
  Engine engine = load();
  const auto whole = engine.generate(request(engine, kText, 24), kGoOn, kIgnore);
  REQUIRE(whole.tokens.size() > 4);
  double sum = 0;  // of the line's tokens so far
  for (size_t n = 1; n <= 4; n++) {
    REQUIRE(whole.text.find('\n') > n);
    sum += whole.log_probabilities[n - 1];
    GenerateRequest asked = request(engine, kText, 24);
    asked.min_log_probability = sum + 1e-4;
    const auto unsure = engine.generate(asked, kGoOn, kIgnore);
    CHECK(unsure.stop == StopReason::unsure);
    CHECK(unsure.tokens == std::vector<Token>(whole.tokens.begin(), whole.tokens.begin() + n));
  }
  GenerateRequest sure = request(engine, kText, 24);
  sure.min_log_probability = -1e9;
  CHECK(engine.generate(sure, kGoOn, kIgnore).tokens == whole.tokens);
  CHECK(engine.generate(request(engine, kText, 24), kGoOn, kIgnore).tokens == whole.tokens);
}

TEST_CASE("bad requests are refused with their numbers, and the engine goes on") {
  Engine engine = load("reference", 64);
  GenerateRequest bad = request(engine, "", 4);
  check_refused(engine, bad, "empty");
  bad.tokens.assign(65, 7);
  check_refused(engine, bad, "65 tokens, and the context holds 64");
  bad.tokens = {320};
  check_refused(engine, bad, "token 320");
  bad.tokens = {-1};
  check_refused(engine, bad, "token 4294967295");
  bad.tokens = {7};
  bad.syntax = {0, {5}};
  check_refused(engine, bad, "no syntax feature 5");
  CHECK(engine.generate(request(engine, "x", 1), kGoOn, kIgnore).tokens.size() == 1);
}

TEST_CASE("features in any order are the same request") {
  Engine engine = load();
  GenerateRequest featured = request(engine, kText, 4);
  featured.syntax = {10, {3, 1}};
  engine.generate(featured, kGoOn, kIgnore);
  featured.syntax.features = {1, 3, 1};
  CHECK(engine.generate(featured, kGoOn, kIgnore).read_tokens == 1);
  featured.syntax.features = {1};
  CHECK(engine.generate(featured, kGoOn, kIgnore).reused_tokens <= 10);
}

TEST_CASE("scores are the log probabilities that generation sees") {
  Engine engine = load();
  auto tokens = request(engine, kText, 1).tokens;
  const auto result = engine.generate(request(engine, kText, 1), kGoOn, kIgnore);
  const auto scores = engine.score(tokens, {}, kGoOn);
  CHECK(scores.size() == tokens.size() - 1);
  for (const float score : scores) CHECK(score < 0);

  // The greedy token's probability is the best of all next tokens.
  double best = -1e9;
  for (Token t = 0; t < 320; t += 1) {
    tokens.push_back(t);
    best = std::max(best, double(engine.score(tokens, {}, kGoOn).back()));
    tokens.pop_back();
  }
  CHECK(best == doctest::Approx(result.log_probabilities.at(0)).epsilon(0.05));
}

TEST_CASE("rows that fill a vocabulary up count neither for scores nor for what is drawn") {
  const TemporaryFolder folder;
  std::filesystem::copy(fixtures() / "tiny" / "tokenizer.json", folder.path() / "tokenizer.json");
  write_tiny_model(folder.path(), tiny_config(R"("vocab_size": 400)"), "f32");
  LoadOptions options;
  options.backend = "reference";
  options.threads = 1;
  Engine engine(folder.path(), options, [](float) {});
  REQUIRE(engine.model().config().vocab_size > engine.tokenizer().size());
  const auto generated = engine.generate(request(engine, kText, 3), kGoOn, kIgnore);
  auto tokens = request(engine, kText, 1).tokens;
  const size_t first = tokens.size() - 1;  // of the scores, that of the first token written
  for (const Token token : generated.tokens) tokens.push_back(token);
  const auto scores = engine.score(tokens, {}, kGoOn);
  for (size_t i = 0; i < generated.tokens.size(); i++) {
    CHECK(scores.at(first + i) == doctest::Approx(generated.log_probabilities.at(i)).epsilon(1e-4));
  }
  tokens.back() = 399;  // one that is no token has the probability that the model gives it
  CHECK(engine.score(tokens, {}, kGoOn).back() < 0);
}

#ifndef _WIN32
TEST_CASE("a file that is written to while its model is in use ends in a message") {
  for (const bool shorter : {true, false}) {
    CAPTURE(shorter);
    const TemporaryFolder folder;
    for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"})
      std::filesystem::copy(fixtures() / "tiny" / name, folder.path() / name);
    const auto file = folder.path() / "model.safetensors";
    LoadOptions options;
    options.threads = 1;
    Engine engine(folder.path(), options, [](float) {});
    const auto text = engine.generate(request(engine, kText, 4), kGoOn, kIgnore).text;
    if (shorter) {
      std::filesystem::resize_file(file, 4096);
    } else {
      std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now());
    }
    const auto check = [](auto use) {
      try {
        use();
        FAIL("it was not noticed");
      } catch (const EngineError& error) {
        CHECK(error.code() == ErrorCode::model_corrupt);
        CHECK(std::string(error.what()).find("was written to while") != std::string::npos);
      }
    };
    check([&] { engine.generate(request(engine, kText, 4), kGoOn, kIgnore); });
    check([&] { engine.score(request(engine, kText, 4).tokens, {}, kGoOn); });
  }
}
#endif

TEST_CASE("the backend is one that the processor has") {
  try {
    load("z80");
    FAIL("the backend was accepted");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::model_unsupported);
    CHECK(std::string(error.what()).find("reference") != std::string::npos);
  }
}

TEST_CASE("a worker runs jobs in order, cancels those that wait, and stops after the last") {
  std::vector<int> order;
  std::atomic<int> cancelled = 0;
  {
    Worker worker;
    for (int i = 0; i < 20; i++) {
      auto job = std::make_shared<Job>();
      job->run = [&, i](Job& self) {
        std::this_thread::sleep_for(std::chrono::milliseconds(i == 0 ? 20 : 0));
        if (self.cancelled) cancelled++;
        order.push_back(i);
      };
      worker.post(job);
    }
    worker.cancel_all();
  }
  REQUIRE(order.size() == 20);
  for (int i = 0; i < 20; i++) CHECK(order[size_t(i)] == i);
  CHECK(cancelled >= 19);
}

TEST_CASE("a job that has run holds nothing, whoever may still cancel it") {
  Worker worker;
  const auto model = std::make_shared<int>(1);
  auto job = std::make_shared<Job>();
  job->run = [model](Job&) {};
  worker.post(job);
  worker.stop();
  CHECK(model.use_count() == 1);
  job->cancelled = true;
}
