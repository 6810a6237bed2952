#include "sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

using namespace ringside;

namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, -1.0f};

std::vector<Token> draws(const Sampling& options, int n) {
  Sampler sampler(options);
  std::vector<Token> tokens;
  for (int i = 0; i < n; i++) tokens.push_back(sampler.sample(kLogits).token);
  return tokens;
}

std::vector<float> noise(size_t count, uint32_t seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// What a draw means: all sorted, the best kept, and the random number walked off over them.
Token drawn(const std::vector<float>& logits, const Sampling& sampling, double uniform) {
  const double max = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  for (const float logit : logits) p.push_back(std::exp((logit - max) / sampling.temperature));
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](Token a, Token b) { return p[size_t(a)] > p[size_t(b)]; });
  const double all = std::accumulate(p.begin(), p.end(), 0.0);
  double kept = 0;
  size_t n = 0;
  while (n < order.size() && (n == 0 || kept < all * double(sampling.top_p)))
    kept += p[size_t(order[n++])];
  double at = uniform * kept;
  for (size_t i = 0; i + 1 < n; i++)
    if ((at -= p[size_t(order[i])]) < 0) return order[i];
  return order[n - 1];
}

// splitmix64 (Steele et al. 2014): the n-th number of a seed.
double uniform(uint64_t seed, int n) {
  uint64_t z = seed + uint64_t(n + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return double((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

}  // namespace

TEST_CASE("greedy takes the best, the first of equals") {
  CHECK(draws({}, 1)[0] == 1);
  Sampler sampler({});
  CHECK(sampler.sample(std::array{2.0f, 5.0f, 5.0f}).token == 1);
}

TEST_CASE("a seed gives the same tokens on every machine") {
  const Sampling options{1.0f, 1.0f, 42};
  CHECK(draws(options, 50) == draws(options, 50));
  CHECK(draws(options, 50) != draws({1.0f, 1.0f, 43}, 50));
}

TEST_CASE("tokens come as often as they are probable") {
  const auto tokens = draws({1.0f, 1.0f, 7}, 20000);
  const double sum = std::exp(1.0) + std::exp(3.0) + std::exp(2.0) + std::exp(-1.0);
  for (Token t = 0; t < 4; t++) {
    const double share = double(std::count(tokens.begin(), tokens.end(), t)) / 20000;
    const double p = std::exp(double(kLogits[size_t(t)])) / sum;
    CHECK(std::abs(share - p) < 5 * std::sqrt(p * (1 - p) / 20000));  // five standard deviations
  }
}

TEST_CASE("top-p keeps the smallest set that reaches it, and at least one") {
  // Probabilities: 0.66, 0.24, 0.09, 0.01.
  for (const Token token : draws({1.0f, 0.01f, 1}, 200)) CHECK(token == 1);
  bool second = false;
  for (const Token token : draws({1.0f, 0.8f, 1}, 200)) {
    CHECK((token == 1 || token == 2));
    second = second || token == 2;
  }
  CHECK(second);
}

TEST_CASE("a draw is that of all tokens sorted, however few of them are") {
  for (const size_t size : {1, 2, 63, 64, 65, 500, 5000})
    for (const float spread : {0.1f, 4.0f})  // many tokens kept, and few
      for (const float top_p : {1.0f, 0.999f, 0.5f, 0.0f})
        for (const float temperature : {0.3f, 1.0f, 5.0f}) {
          CAPTURE(size);
          CAPTURE(spread);
          CAPTURE(top_p);
          CAPTURE(temperature);
          const std::vector<float> logits = noise(size, uint32_t(size), spread);
          const Sampling sampling{temperature, top_p, 9};
          Sampler sampler(sampling);
          for (int n = 0; n < 20; n++)
            CHECK(sampler.sample(logits).token == drawn(logits, sampling, uniform(9, n)));
        }
}

TEST_CASE("log probabilities are exact to rounding") {
  for (const size_t size : {1, 15, 16, 17, 4001}) {
    const std::vector<float> logits = noise(size, 3, 6.0f);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double(logit));
    for (size_t t = 0; t < size; t += 97)
      CHECK(std::abs(double(log_probability(logits, Token(t))) -
                     (double(logits[t]) - std::log(sum))) < 4e-6);
  }
}

TEST_CASE("log probabilities are those of the softmax, whatever the temperature") {
  double total = 0;
  for (Token t = 0; t < 4; t++) total += std::exp(double(log_probability(kLogits, t)));
  CHECK(total == doctest::Approx(1.0));
  Sampler sampler({2.0f, 1.0f, 3});
  const auto [token, probability, finite] = sampler.sample(kLogits);
  CHECK(finite);
  CHECK(probability == doctest::Approx(log_probability(kLogits, token)));
}

TEST_CASE("mixing gives copied tokens their share, and the others what is left") {
  for (const float share : {0.0f, 0.05f, 0.9f}) {
    std::vector<float> logits = noise(500, 11, 3.0f);
    logits[499] = -80.0f;  // all but impossible, and copied
    const std::vector<float> before = logits;
    const std::vector<Candidate> copied = {{0.5f, 17}, {0.3f, 499}, {0.2f, 0}};
    double sum = 0;
    for (const float logit : before) sum += std::exp(double(logit));
    mix(logits, copied, share);
    std::map<Token, double> votes;
    for (const Candidate& each : copied) votes[each.token] = each.probability;
    for (Token t = 0; t < 500; t++) {
      const bool is_copied = votes.count(t) > 0;
      if (!is_copied) CHECK(logits[size_t(t)] == before[size_t(t)]);
      const double p = (1 - double(share)) * std::exp(double(before[size_t(t)])) / sum +
                       double(share) * (is_copied ? votes[t] : 0.0);
      CHECK(std::exp(double(log_probability(logits, t))) == doctest::Approx(p).epsilon(1e-5));
    }
  }
}

TEST_CASE("a choice among what is no number says so") {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Sampler sampler({});
    CHECK(!sampler.sample(std::array{2.0f, bad, 5.0f}).finite);
  }
}
