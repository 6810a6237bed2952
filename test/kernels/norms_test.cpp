#include <cmath>

#include "support.h"

namespace ringside {
namespace {

TEST_CASE("norms and activations agree with the reference") {
  const auto reference = ready("reference", 1);
  const Floats x = noise(5 * 36, 1, 4.0f), gate = noise(5 * 36, 2, 4.0f), weight = noise(36, 3);
  for (const std::string& name : others()) {
    const auto backend = ready(name, 2);
    const auto both = [&](auto operation) {
      Floats a = x, b = x;
      operation(*backend, a.data());
      operation(*reference, b.data());
      CAPTURE(name);
      CHECK(nmse(a, b) < 1e-12);
    };
    both([&](Backend& b, float* y) { b.rmsnorm(y, y, weight.data(), 5, 36, 1e-6f); });
    both([&](Backend& b, float* y) { b.add(y, gate.data(), 5 * 36); });
    both([&](Backend& b, float* y) { b.swiglu(y, gate.data(), 5 * 36); });
    both([&](Backend& b, float* y) { b.silu(y, 5 * 36 - 1); });
    both([&](Backend& b, float* y) {
      b.gated_group_norm(y, y, gate.data(), weight.data(), 5, 36, 4, 1e-6f);
    });
  }
}

TEST_CASE("silu and swiglu survive large values") {
  for (const std::string& name : tested_backends()) {
    Floats x = {-1e4f, -100.0f, 0.0f, 100.0f, 1e4f};
    ready(name, 1)->silu(x.data(), 5);
    CHECK(x[0] == doctest::Approx(0.0));
    CHECK(x[1] == doctest::Approx(0.0));
    CHECK(x[2] == 0.0f);
    CHECK(x[3] == 100.0f);
    CHECK(x[4] == 1e4f);
  }
}

TEST_CASE("layernorm follows the formula") {
  const int n = 3, dim = 50;
  Floats x = noise(n * dim, 3, 2.0f);
  for (float& value : x) value += 10.0f;  // the mean is what RMSNorm would keep
  const Floats weight = noise(dim, 4), bias = noise(dim, 5);
  Floats expected(n * dim);
  for (int i = 0; i < n; i++) {
    double mean = 0, variance = 0;
    for (int c = 0; c < dim; c++) mean += x[size_t(i * dim + c)] / double(dim);
    for (int c = 0; c < dim; c++) variance += std::pow(x[size_t(i * dim + c)] - mean, 2) / dim;
    for (int c = 0; c < dim; c++)
      expected[size_t(i * dim + c)] =
          float((x[size_t(i * dim + c)] - mean) / std::sqrt(variance + 1e-5) * weight[size_t(c)] +
                bias[size_t(c)]);
  }
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 1);
    Floats y(n * dim), in_place = x;
    backend->layernorm(y.data(), x.data(), weight.data(), bias.data(), n, dim, 1e-5f);
    backend->layernorm(in_place.data(), in_place.data(), weight.data(), bias.data(), n, dim, 1e-5f);
    CAPTURE(name);
    CHECK(nmse(y, expected) < 1e-11);
    CHECK(y == in_place);
  }
}

TEST_CASE("gelu follows the formula, also at large values") {
  Floats x = noise(77, 3, 3.0f), expected;
  for (const float value : {-1e20f, -1e4f, -30.0f, -5.0f, 0.0f, 30.0f, 1e4f, 1e20f})
    x.push_back(value);
  for (const double v : x)
    expected.push_back(
        float(v / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1)) * (v + 0.044715 * v * v * v)))));
  for (const std::string& name : tested_backends()) {
    Floats y = x;
    ready(name, 1)->gelu(y.data(), int64_t(y.size()));
    CAPTURE(name);
    for (size_t i = 0; i < y.size(); i++)
      CHECK(y[i] == doctest::Approx(expected[i]).epsilon(1e-5).scale(1e-2));
  }
}

}  // namespace
}  // namespace ringside
