// Shared by the kernel tests: seeded data, weights of every type, and a measure of error.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend.h"
#include "quant.h"

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

inline std::unique_ptr<Backend> ready(std::string_view isa, int threads) {
  auto backend = make_backend(isa, threads);
  backend->reserve(limits());
  return backend;
}

// The backends to compare with the reference.
inline std::vector<std::string> others() {
  std::vector<std::string> names = available_backends();
  names.pop_back();
  return names;
}

// A matrix and the memory that it points into. The bits are random, kept finite.
struct Weights {
  std::vector<uint8_t> data, scales;
  Matrix matrix;

  Weights(Type type, int rows, int cols, uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    const size_t size = size_t(rows) * size_t(cols);
    const auto put = [](std::vector<uint8_t>& to, size_t i, auto value) {
      if (to.size() < (i + 1) * sizeof value) to.resize((i + 1) * sizeof value);
      std::memcpy(to.data() + i * sizeof value, &value, sizeof value);
    };
    data.reserve(size * 4);
    for (size_t i = 0; i < size; i++) {
      const uint16_t bits = uint16_t(random());
      if (type == Type::f32) put(data, i, uniform(random));
      // f16 of exponents 0 .. 15: up to 2, subnormals too.
      if (type == Type::f16) put(data, i, uint16_t((bits & 0x83ff) | (random() % 16) << 10));
      if (type == Type::bf16) put(data, i, float_to_bf16(uniform(random)));
      if (type == Type::f8) put(data, i, uint8_t((bits & 127) == 127 ? 0 : bits));
      if (type == Type::int4 && i % 2 == 0) put(data, i / 2, uint8_t(bits));
    }
    if (type == Type::f8)
      for (int r = 0; r < rows; r++) put(scales, size_t(r), 0.01f + std::abs(uniform(random)));
    // float16 of 2^-6 .. 2^-2.
    if (type == Type::int4)
      for (size_t g = 0; g < size / kGroup; g++)
        put(scales, g, uint16_t((random() & 1023) | (9 + random() % 4) << 10));
    matrix = {type, rows, cols, data.data(), scales.empty() ? nullptr : scales.data()};
  }
};

}  // namespace ringside
