#include "sampler.h"

#include <math.h>
#include <stdint.h>

#include <algorithm>
#include <bit>

namespace ringside {

namespace {

#include "exp.inc"

constexpr size_t kLanes = 16;  // separate parts of a sum: a compiler may not reorder additions

// each(i) added up over i < count.
template <typename Sum, typename Each>
Sum sum_of(size_t count, const Each& each) {
  Sum lanes[kLanes] = {}, sum = 0;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] += each(i + l);
  for (; i < count; i++) sum += each(i);
  for (const Sum lane : lanes) sum += lane;
  return sum;
}

float largest(std::span<const float> logits) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, logits[0]);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] = std::max(lanes[l], logits[i + l]);
  for (; i < logits.size(); i++) lanes[0] = std::max(lanes[0], logits[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

float log_sum_exp(std::span<const float> logits, float max) {
  return max +
         logf(sum_of<float>(logits.size(), [&](size_t i) { return exp_of(logits[i] - max); }));
}

// The first in order, sorted only as far as they are asked for: a draw looks at a few. Sorting all
// of 151,936 was most of a draw's 18 ms, of which 1 is left.
class BestFirst {
 public:
  explicit BestFirst(std::span<Candidate> all) : all_(all) {}

  const Candidate& operator[](size_t i) {
    while (i >= sorted_) sort_more();
    return all_[i];
  }

 private:
  void sort_more() {
    const size_t end = std::min(all_.size(), std::max(size_t{64}, 4 * sorted_));
    const auto from = all_.begin() + ptrdiff_t(sorted_), to = all_.begin() + ptrdiff_t(end);
    // Equal probabilities go by id, so that the order does not depend on the sort.
    const auto before = [](const Candidate& a, const Candidate& b) {
      return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
    };
    if (to != all_.end()) std::nth_element(from, to, all_.end(), before);
    std::sort(from, to, before);
    sorted_ = end;
  }

  std::span<Candidate> all_;
  size_t sorted_ = 0;
};

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
  const float max = largest(logits);
  const Token token = sampling_.temperature > 0
                          ? draw(logits, max)
                          : Token(std::find(logits.begin(), logits.end(), max) - logits.begin());
  return {token, logits[size_t(token)] - log_sum_exp(logits, max)};
}

Token Sampler::draw(std::span<const float> logits, float max) {
  weights_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); i++)
    weights_[i] = exp_of((logits[i] - max) / sampling_.temperature);
  const double total = sum_of<double>(logits.size(), [&](size_t i) { return double(weights_[i]); });
  // All that are less likely than an equal share of what top-p leaves out are left out: together
  // they have less. Half of it, so that rounding does not matter.
  const double rest = total * std::max(0.0, 1.0 - double(sampling_.top_p));
  const float least = float(rest / double(logits.size()) / 2);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); i++)
    if (weights_[i] >= least) candidates_.push_back({weights_[i], Token(i)});
  BestFirst best(candidates_);
  double kept = total;
  size_t n = candidates_.size();
  if (sampling_.top_p < 1) {
    for (kept = 0, n = 0; n < candidates_.size() && (n == 0 || kept < total - rest); n++)
      kept += best[n].probability;
  }
  double at = uniform() * kept;
  for (size_t i = 0; i + 1 < n; i++) {
    at -= best[i].probability;
    if (at < 0) return best[i].token;
  }
  return best[n - 1].token;
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

void mix(std::span<float> logits, std::span<const Candidate> copied, float share) {
  const float total = log_sum_exp(logits, largest(logits));
  const float others = log1pf(-share);  // what every probability is multiplied by, as a logarithm
  for (const Candidate& each : copied) {
    float& logit = logits[size_t(each.token)];
    const float p = (1 - share) * expf(logit - total) + share * each.probability;
    logit = total + logf(p) - others;
  }
}

float log_probability(std::span<const float> logits, Token token) {
  return logits[size_t(token)] - log_sum_exp(logits, largest(logits));
}

}  // namespace ringside
