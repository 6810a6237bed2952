#include "sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>

using namespace ringside;

namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, -1.0f};

std::vector<Token> draws(const Sampling& options, int n) {
  Sampler sampler(options);
  std::vector<Token> tokens;
  for (int i = 0; i < n; i++) tokens.push_back(sampler.sample(kLogits).token);
  return tokens;
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

TEST_CASE("log probabilities are those of the softmax, whatever the temperature") {
  double total = 0;
  for (Token t = 0; t < 4; t++) total += std::exp(double(log_probability(kLogits, t)));
  CHECK(total == doctest::Approx(1.0));
  Sampler sampler({2.0f, 1.0f, 3});
  const auto [token, probability, finite] = sampler.sample(kLogits);
  CHECK(finite);
  CHECK(probability == doctest::Approx(log_probability(kLogits, token)));
}

TEST_CASE("a choice among what is no number says so") {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Sampler sampler({});
    CHECK(!sampler.sample(std::array{2.0f, bad, 5.0f}).finite);
  }
}
