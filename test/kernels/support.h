// Shared by the kernel tests: seeded data, backends, and a measure of error.
#pragma once

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "backend.h"
#include "quant.h"
#include "weights.h"

namespace ringside {

using Floats = std::vector<float>;

inline Floats noise(size_t size, uint32_t seed, float deviation = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  Floats x(size);
  for (float& value : x) value = normal(random);
  return x;
}

// sum (a - b)^2 / sum b^2.
inline double nmse(const Floats& a, const Floats& b) {
  double error = 0, power = 1e-30;
  for (size_t i = 0; i < b.size(); i++) {
    error += double(a[i] - b[i]) * double(a[i] - b[i]);
    power += double(b[i]) * double(b[i]);
  }
  return error / power;
}

inline Limits limits() {
  Limits limits;
  limits.max_batch = 256;
  limits.max_cols = 1024;
  limits.max_rows = 1024;
  limits.max_experts = 32;
  limits.max_top_k = 4;
  limits.max_hidden = 128;
  limits.max_context = 4096;
  return limits;
}

// What the tests run on: the processor's instruction sets, or, in the GPU's test programs, a device
// in its modes (cuda/tested.cpp). The reference comes last.
std::vector<std::string> tested_backends();
std::unique_ptr<Backend> make_tested(std::string_view name, int threads);

inline std::unique_ptr<Backend> ready(std::string_view name, int threads) {
  auto backend = make_tested(name, threads);
  backend->reserve(limits());
  return backend;
}

// The backends to compare with the reference.
inline std::vector<std::string> others() {
  std::vector<std::string> names = tested_backends();
  names.pop_back();
  return names;
}

}  // namespace ringside
