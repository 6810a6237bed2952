#include "copy_model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "decoder.h"
#include "gpu.h"
#include "loaded_model.h"
#include "requests.h"
#include "texts.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

constexpr float kShares[] = {0, 0.1f, 0.2f, 0.3f, 0.7f};

struct Voted {
  float share = 0;
  std::map<Token, double> candidates;
};

constexpr Token kEnd = 500;
constexpr Token kBreak = '\n';

// Of a text, its first `given` tokens are there before anything is written, and of those [first,
// last) stand behind the cursor.
struct Spot {
  size_t given = 0, first = 0, last = 0;
};

Voted voted(std::span<const Token> text, std::span<const float> shares, const Spot& spot = {}) {
  std::vector<bool> breaks(256);
  breaks[kBreak] = true;
  CopyModel copy(shares, {kEnd, breaks});
  copy.begin(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (i == spot.given) copy.set_behind(spot.first, spot.last);
    copy.append(text[i]);
  }
  if (spot.given == text.size()) copy.set_behind(spot.first, spot.last);
  const auto [share, candidates] = copy.votes();
  Voted result{share, {}};
  for (const Candidate& each : candidates) {
    CHECK(result.candidates.count(each.token) == 0);
    result.candidates[each.token] = each.probability;
  }
  return result;
}

Voted voted(const std::string& text, std::span<const float> shares = kShares) {
  return voted(std::vector<Token>(text.begin(), text.end()), shares);
}

// With `written` behind `prefix`, in front of `suffix`.
Voted voted(const std::string& suffix, const std::string& prefix, const std::string& written) {
  const std::string text = suffix + prefix + written;
  return voted(std::vector<Token>(text.begin(), text.end()), kShares,
               {suffix.size() + prefix.size(), 0, suffix.size()});
}

// The two lines behind a cursor that has [first, last) behind it, each with what ends it: the rest
// of its own and the next with text; found as text.
std::vector<std::pair<size_t, size_t>> lines_behind(std::span<const Token> text, const Spot& spot) {
  const std::string behind(text.begin() + long(spot.first), text.begin() + long(spot.last));
  if (behind.empty()) return {};
  const auto line_at = [&](size_t begin) {
    const size_t end = std::min(behind.find('\n', begin), behind.size() - 1);
    return std::pair(spot.first + begin, spot.first + end + 1);
  };
  std::vector lines{line_at(0)};
  size_t next = behind.find('\n');
  if (next != std::string::npos) next = behind.find_first_not_of('\n', next);
  if (next != std::string::npos) lines.push_back(line_at(next));
  return lines;
}

// The same as it is defined: every place, every end.
Voted by_definition(std::span<const Token> text, std::span<const float> shares,
                    const Spot& spot = {}) {
  Voted result;
  size_t longest = 0;
  double total = 0;
  const bool has_behind = spot.last > spot.first;
  const auto lines = lines_behind(text, spot);
  size_t so_far = 0;
  while (so_far < text.size() && text[text.size() - 1 - so_far] != kBreak) so_far++;
  const auto repeats = [&](size_t place) {
    for (const auto& [line, line_end] : lines)
      if (so_far > 0 && place >= line && place < line_end && place - line == so_far &&
          std::equal(text.end() - long(so_far), text.end(), text.begin() + long(line)))
        return true;
    return false;
  };
  for (size_t i = 1; i < text.size(); i++) {
    const bool is_behind = has_behind && text[i] == text[spot.first];
    if (repeats(i)) continue;
    size_t n = 0;
    while (n < std::min(CopyModel::kMostMatch, i) && text[i - 1 - n] == text[text.size() - 1 - n])
      n++;
    if (n == 0) continue;
    longest = std::max(longest, n);
    result.candidates[is_behind ? kEnd : text[i]] += std::pow(5.0, double(n));
    total += std::pow(5.0, double(n));
  }
  for (auto& [token, weight] : result.candidates) weight /= total;
  if (longest > 0) result.share = shares[std::min(longest, shares.size() - 1)];
  return result;
}

std::vector<Choice> write(Model& model, Sequence& sequence, std::span<const Token> prompt,
                          size_t count, const Sampling& sampling, Draft* draft, bool copies) {
  sequence.truncate(0);
  CopyModel copy(kShares);
  copy.begin(sequence.capacity());
  for (const Token token : prompt) copy.append(token);
  const size_t last = read(model, sequence, prompt);
  Decoder decoder(model, sequence, sampling, model.config().vocab_size, last, draft,
                  copies ? &copy : nullptr);
  std::vector<Choice> choices;
  while (choices.size() < count) choices.push_back(decoder.next(count - choices.size() - 1));
  return choices;
}

// Whether `choices` are what the model's logits and the votes give, each likeliest by both.
void check_greedy(Model& model, Sequence& sequence, std::vector<Token> text,
                  const std::vector<Choice>& choices) {
  sequence.truncate(0);
  for (const Choice& choice : choices) {
    const size_t last = read(model, sequence, text);
    const auto logits = model.logits(last);
    const double top = *std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (const float logit : logits) total += std::exp(logit - top);
    const auto [share, candidates] = by_definition(text, kShares);
    std::vector<double> p;
    for (const float logit : logits) p.push_back((1 - share) * std::exp(logit - top) / total);
    for (const auto& [token, vote] : candidates) p[size_t(token)] += share * vote;
    const double best = *std::max_element(p.begin(), p.end());
    CHECK(p[size_t(choice.token)] >= best * (1 - 1e-4));  // of equals, either
    CHECK(choice.log_probability ==
          doctest::Approx(std::log(p[size_t(choice.token)])).epsilon(1e-3));
    text.push_back(choice.token);
  }
}

}  // namespace

TEST_CASE("each place where the text's end stood votes for what followed, the longer the more") {
  const Voted one = voted("abcd.abc");
  CHECK(one.share == 0.3f);
  CHECK(one.candidates == std::map<Token, double>{{'d', 1.0}});
  const Voted two = voted("xc1yc2zbc3 bc");
  CHECK(two.share == 0.2f);  // of the longest
  CHECK(two.candidates.at('1') == doctest::Approx(5.0 / 35));
  CHECK(two.candidates.at('2') == doctest::Approx(5.0 / 35));
  CHECK(two.candidates.at('3') == doctest::Approx(25.0 / 35));
  CHECK(voted("aba").candidates.at('b') == 1.0);
  CHECK(voted("abcdefgh.abcdefgh").share == 0.7f);  // beyond the last given, as the last
}

TEST_CASE("nothing votes where nothing stood before, or where a match has no share") {
  CHECK(voted("").share == 0);
  CHECK(voted("a").share == 0);
  CHECK(voted("abc").share == 0);
  CHECK(voted("abcabc", {}).share == 0);
  constexpr float kLong[] = {0, 0, 0, 0.5f};
  CHECK(voted("abcd.ab", kLong).share == 0);
  CHECK(voted("abcd.abc", kLong).share == 0.5f);
  CHECK(!CopyModel().copies());
  CHECK(!CopyModel(std::vector<float>{0.5f, 0}).copies());  // no match has no tokens
  CHECK(CopyModel(kShares).copies());
}

TEST_CASE("in a middle, a vote for what stands behind the cursor is one for its end") {
  const Voted ended = voted(";z", "abc;ab", "c");
  CHECK(ended.share == 0.3f);
  CHECK(ended.candidates == std::map<Token, double>{{kEnd, 1.0}});
  CHECK(voted(";z", "abc;ab", "").candidates == std::map<Token, double>{{'c', 1.0}});
  CHECK(voted(";z", "abc;abc", "").candidates == std::map<Token, double>{{kEnd, 1.0}});
  CHECK(voted("", "abc;abc", "").candidates == std::map<Token, double>{{';', 1.0}});
}

TEST_CASE("a line does not copy the line behind it") {
  CHECK(voted("abc=1\n", "x\n", "a").share == 0);  // the cursor is at its start
  CHECK(voted("\nabc=1\n", "x\n", "a").share == 0);
  CHECK(voted("\n\n\nabc=1\n", "x\nab", "").share == 0);
  CHECK(voted("\nabc=1\n", "x\nabc=", "1").share == 0);  // nor the break that ends it
  CHECK(voted("\nabc=1\n", "x\n", "ka").candidates == std::map<Token, double>{{'b', 1.0}});
  CHECK(voted("\nabc=1\n", "abc=2\n", "abc").candidates == std::map<Token, double>{{'=', 1.0}});
  CHECK(voted("\nabc=1\nxyz", "w\n", "xy").candidates == std::map<Token, double>{{'z', 1.0}});
}

TEST_CASE("votes are those of the definition, in a middle too") {
  std::mt19937 random(5);
  for (int round = 0; round < 600; round++) {
    auto text = repetitive(random, random() % 300, round % 2 == 0 ? 40 : 6);
    for (Token& token : text)
      if (token == 1) token = kBreak;
    Spot spot;
    if (round % 3 > 0) {
      spot.given = random() % (text.size() + 1);
      spot.last = random() % (spot.given + 1);
      spot.first = random() % (spot.last + 1);
    }
    const Voted expected = by_definition(text, kShares, spot);
    const Voted found = voted(text, kShares, spot);
    CHECK(found.share == expected.share);
    if (found.share == 0) continue;
    REQUIRE(found.candidates.size() == expected.candidates.size());
    for (const auto& [token, p] : expected.candidates)
      CHECK(found.candidates.at(token) == doctest::Approx(p).epsilon(1e-5));
  }
}

TEST_CASE("of many candidates the likeliest are kept, and share it all") {
  std::vector<Token> text;
  for (Token token = 100; token < 300; token++) text.insert(text.end(), {1, token});
  text.insert(text.end(), {7, 8, 1, 299, 7, 8, 1});  // of five tokens, and one of one
  const Voted found = voted(text, kShares);
  CHECK(found.candidates.size() == kMostMixed);
  double total = 0;
  for (const auto& [token, p] : found.candidates) total += p;
  CHECK(total == doctest::Approx(1.0));
  CHECK(found.candidates.at(299) == doctest::Approx(3130.0 / (3130 + 63 * 5)));
}

TEST_CASE("what is drawn is what model and votes say together, with a draft or without") {
  for (const std::string& name : tested_backends()) {
    for (const char* changes : {"", R"("num_experts": 0)"}) {
      CAPTURE(name);
      CAPTURE(changes);
      TemporaryFolder folder;
      write_tiny_model(folder.path(), tiny_config(changes), "f32");
      TestedBackends backends(name);
      ModelOptions options = with_f32_cache();
      options.context_tokens = 300;
      LoadedModel loaded(folder.path(), backends.both(), options);
      Sequence sequence = loaded.sequence();
      std::mt19937 random(8);
      size_t changed = 0;
      const size_t count = name == "cuda" && gpu_is_emulated() ? 12 : 60;
      for (int round = 0; round < 3; round++) {
        const auto prompt =
            repetitive(random, 60 + random() % 60, loaded.model.config().vocab_size);
        const Sampling greedy, sampled{1.0f, 0.9f, random()};
        Draft draft(0);
        const auto choices = write(loaded.model, sequence, prompt, count, greedy, nullptr, true);
        check_greedy(loaded.model, sequence, prompt, choices);
        const auto drafted = write(loaded.model, sequence, prompt, count, greedy, &draft, true);
        const auto alone = write(loaded.model, sequence, prompt, count, greedy, nullptr, false);
        const auto drawn = write(loaded.model, sequence, prompt, count, sampled, nullptr, true);
        const auto guessed = write(loaded.model, sequence, prompt, count, sampled, &draft, true);
        for (size_t i = 0; i < count; i++) {
          CHECK(drafted[i].token == choices[i].token);
          CHECK(guessed[i].token == drawn[i].token);
          changed += alone[i].token != choices[i].token;
        }
      }
      CHECK(changed > 0);
    }
  }
}

TEST_CASE("an engine copies where the model says so and the request does not forbid it") {
  LoadOptions options;
  options.backend = "reference";
  options.threads = 1;
  Engine plain(fixtures() / "tiny", options, [](float) {});
  TemporaryFolder folder;
  for (const auto& file : std::filesystem::directory_iterator(fixtures() / "tiny"))
    std::filesystem::copy_file(file.path(), folder.path() / file.path().filename());
  std::ifstream file(folder.path() / "config.json");
  std::string config{std::istreambuf_iterator<char>(file), {}};
  file.close();
  config.insert(config.find('{') + 1, R"("eos_token_id": 0, "copy_shares": [0, 0.2, 0.4, 0.9],)");
  write_file(folder.path() / "config.json", config);
  Engine copying(folder.path(), options, [](float) {});
  GenerateRequest asked = request(plain, kText + kText, 40);
  asked.ends = {0};
  const auto alone = plain.generate(asked, kGoOn, kIgnore);
  const auto copied = copying.generate(asked, kGoOn, kIgnore);
  CHECK(copied.tokens != alone.tokens);
  GenerateRequest middle = asked;
  const Token missing = middle.tokens.back();
  middle.tokens.pop_back();
  middle.behind_end = middle.tokens.size() / 3;
  CHECK(copying.generate(middle, kGoOn, kIgnore).tokens == std::vector<Token>{missing, 0});
  GenerateRequest empty = asked;
  empty.behind = empty.behind_end = empty.tokens.size();
  CHECK(copying.generate(empty, kGoOn, kIgnore).tokens == copied.tokens);
  asked.copy = false;
  CHECK(copying.generate(asked, kGoOn, kIgnore).tokens == alone.tokens);

  // A marker at the prompt's end does not break the text off.
  asked.copy = true;
  asked.tokens.push_back(plain.tokenizer().special_tokens().begin()->second);
  const auto behind = copying.generate(asked, kGoOn, kIgnore);
  CHECK(behind.tokens[0] == copied.tokens[0]);
}
