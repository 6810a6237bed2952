#include "sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ringside {

namespace {

float log_sum_exp(std::span<const float> logits, float max) {
  float sum = 0;
  for (const float logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum);
}

}  // namespace

bool all_finite(std::span<const float> logits) {
  constexpr uint32_t kExponent = 0x7F800000;
  bool finite = true;
  for (const float logit : logits) {  // bits, because they are compared many at a time
    finite &= (std::bit_cast<uint32_t>(logit) & kExponent) != kExponent;
  }
  return finite;
}

Sampler::Sampler(const Sampling& sampling) : sampling_(sampling), state_(sampling.seed) {}

Choice Sampler::sample(std::span<const float> logits) {
  if (!all_finite(logits)) return {0, 0, false};
  const auto best = std::max_element(logits.begin(), logits.end());
  const Token token =
      sampling_.temperature > 0 ? draw(logits, *best) : Token(best - logits.begin());
  return {token, logits[size_t(token)] - log_sum_exp(logits, *best)};
}

Token Sampler::draw(std::span<const float> logits, float max) {
  candidates_.clear();
  double total = 0;
  for (size_t i = 0; i < logits.size(); i++) {
    const float p = std::exp((logits[i] - max) / sampling_.temperature);
    candidates_.emplace_back(p, Token(i));
    total += p;
  }
  // Equal probabilities go by id, so that the order does not depend on the sort.
  std::sort(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  double kept = 0;
  size_t n = 0;
  while (n < candidates_.size() && (n == 0 || kept < total * double(sampling_.top_p))) {
    kept += candidates_[n++].first;
  }
  double at = uniform() * kept;
  for (size_t i = 0; i + 1 < n; i++) {
    at -= candidates_[i].first;
    if (at < 0) return candidates_[i].second;
  }
  return candidates_[n - 1].second;
}

// splitmix64: the standard's distributions differ between libraries, these 53 bits do not.
double Sampler::uniform() {
  state_ += 0x9E3779B97F4A7C15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return double(z >> 11) * 0x1.0p-53;
}

float log_probability(std::span<const float> logits, Token token) {
  const float max = *std::max_element(logits.begin(), logits.end());
  return logits[size_t(token)] - log_sum_exp(logits, max);
}

}  // namespace ringside
