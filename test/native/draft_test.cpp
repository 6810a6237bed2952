#include "draft.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "decoder.h"
#include "gpu.h"
#include "loaded_model.h"
#include "requests.h"
#include "texts.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

std::vector<Token> tokens_of(const std::string& letters) {
  return {letters.begin(), letters.end()};
}

// What is proposed behind `text`, a token a letter.
std::string proposed(const std::string& text, size_t most = Draft::kMost, double routed = 0) {
  Draft draft(routed);
  const auto read = tokens_of(text.substr(0, text.size() - 1));
  const auto guesses = draft.propose(read, text.back(), most);
  return {guesses.begin(), guesses.end()};
}

// Of a whole decoding: what was drawn, how sure each was, and the guesses.
struct Written {
  std::vector<Token> tokens;
  std::vector<float> log_probabilities;
  int guessed = 0, right = 0;
};

Written write(Model& model, Sequence& sequence, std::span<const Token> prompt, size_t count,
              const Sampling& sampling, Draft* draft) {
  sequence.truncate(0);
  const size_t last = read(model, sequence, prompt);
  Decoder decoder(model, sequence, sampling, model.config().vocab_size, last, draft);
  Written written;
  while (written.tokens.size() < count && !decoder.full()) {
    const Choice choice = decoder.next(count - written.tokens.size() - 1);
    written.tokens.push_back(choice.token);
    written.log_probabilities.push_back(choice.log_probability);
  }
  written.guessed = decoder.guessed();
  written.right = decoder.right();
  return written;
}

}  // namespace

TEST_CASE("a draft is what followed the longest end of the text, the last time it stood there") {
  CHECK(proposed("abcdef.abc") == "def");
  CHECK(proposed("xabcde yabcfgh zabc") == "fgh");  // the last of two
  CHECK(proposed("xabcde yabcfgh xabc") == "de ");  // the longer of two
  CHECK(proposed("abc") == "");
  CHECK(proposed("abcdb") == "");  // a single token says too little
  CHECK(proposed("abcdefghi.abcdef", 2) == "gh");
  CHECK(proposed("abcdef.abc", 0) == "");
  CHECK(proposed("abcabc") == "abc");
  CHECK(proposed("aaaa") == "a");  // what is known ends here
  CHECK(proposed("a") == "");
}

TEST_CASE("what makes a batch dearer makes a draft shorter, or none") {
  const std::string sure = "abcdefghijklmnopqrst.abcdefghijklm", unsure = "abcdef.ab";
  CHECK(proposed(unsure) == "c");
  CHECK(proposed(sure, 3, 0.0) == "nop");
  CHECK(proposed(sure, 3, 0.7) == "nop");
  CHECK(proposed(sure, 3, 1.0) == "");
  CHECK(proposed(unsure, 3, 0.9) == "");
}

// Of the largest logit, with keys and values in float16, where another order of sums may be another
// step of float16: 3.4e-5 at worst, on AVX2 and the reference (log probabilities: 8.7e-6).
constexpr double kHalfTolerance = 1e-3;

TEST_CASE("what is written with a draft is what is written without") {
  int guessed = 0, right = 0;
  double worst = 0, worst_log = 0;  // with float16
  for (const std::string& name : tested_backends()) {
    if (name == "cuda" && gpu_is_emulated()) continue;  // it runs ahead and takes no draft
    for (const char* changes : {"", R"("ring_window": 0)", R"("layer_group_size": 1)",
                                R"("ring_slots": 20)", R"("num_experts": 0)"})
      for (const Type type : {Type::f32, Type::f16}) {
        TemporaryFolder folder;
        write_tiny_model(folder.path(), tiny_config(changes), "f32");
        TestedBackends backends(name);
        ModelOptions options;
        options.context_tokens = 400;
        options.kv_cache = type;
        LoadedModel loaded(folder.path(), backends.both(), options);
        Model& model = loaded.model;
        Sequence alone = loaded.sequence(), drafted = loaded.sequence(), fresh = loaded.sequence();
        std::mt19937 random(3);
        for (const float temperature : {0.0f, 0.3f, 1.0f}) {
          CAPTURE(name);
          CAPTURE(changes);
          CAPTURE(int(type));
          CAPTURE(temperature);
          Draft draft(0);
          const Sampling sampling = {temperature, 0.9f, random()};
          const auto prompt = repetitive(random, 100 + random() % 100);
          const size_t count = random() % 2 == 0 ? 150 : 400;  // more than there is room for
          const Written expected = write(model, alone, prompt, count, sampling, nullptr);
          const Written written = write(model, drafted, prompt, count, sampling, &draft);
          CHECK(written.tokens == expected.tokens);
          for (size_t i = 0; i < expected.tokens.size(); i++) {
            CHECK(written.log_probabilities[i] ==
                  doctest::Approx(expected.log_probabilities[i]).epsilon(1e-3));
            const double expected_log = expected.log_probabilities[i];
            const double change = std::abs(written.log_probabilities[i] - expected_log);
            if (type == Type::f16)
              worst_log = std::max(worst_log, change / (1 + std::abs(expected_log)));
          }
          guessed += written.guessed;
          right += written.right;
          CHECK(expected.guessed == 0);

          // And what the sequence then holds is what reading it afresh gives.
          const auto held = drafted.tokens();
          CHECK(std::equal(held.begin(), held.end() - 1, alone.tokens().begin()));
          const std::vector<Token> all(held.begin(), held.end());
          drafted.truncate(all.size() - 1);
          const auto went_on = model.forward(drafted, std::span(all).last(1));
          const std::vector<float> logits(went_on.begin(), went_on.end());
          fresh.truncate(0);
          for (size_t at = 0; at < all.size();) {
            const size_t n = std::min(model.max_batch(), all.size() - at);
            model.read(fresh, std::span(all).subspan(at, n), Outputs::last);
            at += n;
            if (at == all.size()) {
              const auto afresh = model.logits(n - 1);
              double difference = 0, largest = 0;
              for (size_t i = 0; i < afresh.size(); i++) {
                difference = std::max(difference, double(std::abs(afresh[i] - logits[i])));
                largest = std::max(largest, double(std::abs(afresh[i])));
              }
              CHECK(difference <= (type == Type::f32 ? 2e-5 : kHalfTolerance) * largest);
              if (type == Type::f16) worst = std::max(worst, difference / largest);
            }
          }
        }
      }
  }
  CHECK(right > 100);
  CHECK(guessed - right > 100);
  MESSAGE(right << " of " << guessed << " guesses were right; float16: logits differ by at most "
                << worst << ", log probabilities by " << worst_log);
}

TEST_CASE("an engine says what was guessed, and guesses nothing where it is told not to") {
  LoadOptions options;
  options.backend = "reference";
  options.threads = 1;
  Engine engine(fixtures() / "tiny", options, [](float) {});
  GenerateRequest asked = request(engine, kText + kText + kText, 120);
  asked.ends = {0};
  asked.draft = true;
  const auto drafted = engine.generate(asked, kGoOn, kIgnore);
  asked.draft = false;
  const auto alone = engine.generate(asked, kGoOn, kIgnore);
  CHECK(drafted.tokens == alone.tokens);
  CHECK(drafted.text == alone.text);
  CHECK(drafted.guessed_tokens > 0);
  CHECK(drafted.right_guesses <= drafted.guessed_tokens);
  CHECK(alone.guessed_tokens == 0);
  CHECK(alone.right_guesses == 0);
  asked.draft.reset();  // too small a model to gain by it
  CHECK(engine.generate(asked, kGoOn, kIgnore).guessed_tokens == 0);
}
