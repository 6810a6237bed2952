// Which token comes next.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend.h"

namespace ringside {

class Sampler {
 public:
  // The same seed and logits give the same tokens on every machine.
  explicit Sampler(const Sampling& sampling);

  Choice sample(std::span<const float> logits);

 private:
  Token draw(std::span<const float> logits, float max);
  double uniform();  // in [0, 1)

  Sampling sampling_;
  uint64_t state_;
  std::vector<float> weights_;
  std::vector<Candidate> candidates_;  // probabilities in proportion
};

// See Backend::mix.
void mix(std::span<float> logits, std::span<const Candidate> copied, float share);

// Whether all are numbers, and no infinities.
bool all_finite(std::span<const float> logits);

// The natural log probability of `token`.
float log_probability(std::span<const float> logits, Token token);

}  // namespace ringside
