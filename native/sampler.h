// Which token comes next.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "backend.h"

namespace ringside {

struct SamplerOptions {
  float temperature = 0;  // 0: greedy
  float top_p = 1;        // the smallest set of best tokens with at least this probability
  uint64_t seed = 0;      // the same seed and logits give the same tokens on every machine
};

class Sampler {
 public:
  Sampler(const SamplerOptions& options, size_t vocab_size);

  struct Choice {
    Token token = 0;
    float log_probability = 0;  // natural, under the model itself: temperature 1, all tokens
  };
  Choice sample(std::span<const float> logits);

 private:
  Token draw(std::span<const float> logits, float max);
  double uniform();  // in [0, 1)

  SamplerOptions options_;
  uint64_t state_;
  std::vector<std::pair<float, Token>> candidates_;  // (probability, token), allocated once
};

// The natural log probability of `token`.
float log_probability(std::span<const float> logits, Token token);

}  // namespace ringside
