#include <cmath>

#include "support.h"

namespace ringside {
namespace {

// Seen at most, over types and batches below: 3.6e-10. Int4 and f8 round the hidden activations,
// where a last-bit difference may become a step.
constexpr double kMaxError = 1e-8;

struct Experts {
  std::vector<Weights> weights;
  std::vector<FeedForward> all;
  Experts(int count, int dim, int hidden, Type type) {
    for (uint32_t e = 0; e < uint32_t(count); e++) {
      weights.emplace_back(type, hidden, dim, 3 * e);
      weights.emplace_back(type, hidden, dim, 3 * e + 1);
      weights.emplace_back(type, dim, hidden, 3 * e + 2);
    }
    for (size_t e = 0; e < size_t(count); e++)
      all.push_back({weights[3 * e].matrix, weights[3 * e + 1].matrix, weights[3 * e + 2].matrix});
  }
};

Floats run(Backend& backend, const Experts& experts, int dim, int n, int top_k) {
  std::vector<int> chosen;
  const int count = int(experts.all.size());
  for (int i = 0; i < n; i++)
    for (int j = 0; j < top_k; j++) chosen.push_back((i * i % 11 + j * 5) % count);
  const Floats weights = noise(size_t(n * top_k), 2), x = noise(size_t(n * dim), 3);
  Floats y = noise(size_t(n * dim), 4);
  backend.experts(y.data(), experts.all.data(), chosen.data(), weights.data(), top_k, x.data(), n);
  return y;
}

TEST_CASE("experts add what the reference adds") {
  const auto reference = ready("reference", 1);
  double worst = 0;
  for (const Type type : {Type::f32, Type::f16, Type::bf16, Type::f8, Type::int4}) {
    const Experts experts(20, 96, 64, type);
    for (const int n : {1, 2, 7, 65}) {
      const Floats expected = run(*reference, experts, 96, n, 3);
      for (const std::string& name : others()) {
        const double error = nmse(run(*ready(name, 2), experts, 96, n, 3), expected);
        CAPTURE(name);
        CAPTURE(int(type));
        CAPTURE(n);
        CHECK(error < kMaxError);
        worst = std::max(worst, error);
      }
    }
  }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("threads and batches do not change experts") {
  const Experts experts(20, 256, 64, Type::int4);
  for (const std::string& name : others()) {
    const Floats one = run(*ready(name, 1), experts, 256, 130, 3);
    CHECK(one == run(*ready(name, 3), experts, 256, 130, 3));
  }
}

struct Routed {
  std::vector<int> experts;
  Floats weights;
};

Routed route(Backend& backend, const Router& router, const Floats& h, int n,
             const std::vector<int>& features, int first_featured) {
  Routed r{std::vector<int>(size_t(n * router.top_k)), Floats(size_t(n * router.top_k))};
  backend.route(r.experts.data(), r.weights.data(), router, h.data(), n, features.data(),
                int(features.size()), first_featured);
  return r;
}

TEST_CASE("route chooses by score and bias, weighs by score") {
  const float w[] = {0, 1, 2, -1}, bias[] = {5, 0, 0, 0};
  const Router router{w, bias, nullptr, 4, 0, 1, 2, 1, 1, 2.5f};
  const double low = 0.5, high = 1 / (1 + std::exp(-2.0));
  for (const std::string& name : available_backends()) {
    const Routed r = route(*ready(name, 1), router, {1.0f}, 1, {}, 0);
    CHECK(r.experts == std::vector<int>{0, 2});
    CHECK(r.weights[0] == doctest::Approx(2.5 * low / (low + high)));
    CHECK(r.weights[1] == doctest::Approx(2.5 * high / (low + high)));
  }
}

TEST_CASE("route adds the features' columns, from the first featured token on") {
  const float w[] = {1, 0, 0, 0};
  const float syntax[] = {0, 0, 0, /**/ 0, 9, 0, /**/ 0, 0, 9, /**/ 0, -9, 0};
  const Router router{w, nullptr, syntax, 4, 3, 1, 1, 1, 1, 1.0f};
  for (const std::string& name : available_backends()) {
    const Routed r = route(*ready(name, 1), router, {1, 1, 1}, 3, {1}, 1);
    CHECK(r.experts == std::vector<int>{0, 1, 1});
    CHECK(route(*ready(name, 1), router, {1}, 1, {2}, 0).experts == std::vector<int>{2});
    CHECK(route(*ready(name, 1), router, {1}, 1, {0}, 0).experts == std::vector<int>{0});
  }
}

TEST_CASE("route drops all groups but the best by their two best") {
  // Group 1 holds the best expert (index 3), group 0 the best pair.
  const float w[] = {2, 2, -9, 3, -9, -9};
  const Router router{w, nullptr, nullptr, 6, 0, 1, 2, 2, 1, 1.0f};
  for (const std::string& name : available_backends()) {
    const Routed r = route(*ready(name, 1), router, {1.0f}, 1, {}, 0);
    CHECK(r.experts == std::vector<int>{0, 1});
  }
}

TEST_CASE("route agrees with the reference") {
  const Floats w = noise(20 * 64, 1, 0.2f), bias = noise(20, 2, 0.1f), h = noise(37 * 64, 4);
  const Floats syntax = noise(20 * 8, 3);
  const Router router{w.data(), bias.data(), syntax.data(), 20, 8, 64, 3, 4, 2, 1.5f};
  const Routed expected = route(*ready("reference", 1), router, h, 37, {1, 6}, 5);
  for (const std::string& name : others()) {
    const Routed r = route(*ready(name, 2), router, h, 37, {1, 6}, 5);
    CHECK(r.experts == expected.experts);
    CHECK(nmse(r.weights, expected.weights) < 1e-11);
  }
}

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
  for (const std::string& name : available_backends()) {
    Floats x = {-1e4f, -100.0f, 0.0f, 100.0f, 1e4f};
    ready(name, 1)->silu(x.data(), 5);
    CHECK(x[0] == doctest::Approx(0.0));
    CHECK(x[1] == doctest::Approx(0.0));
    CHECK(x[2] == 0.0f);
    CHECK(x[3] == 100.0f);
    CHECK(x[4] == 1e4f);
  }
}

}  // namespace
}  // namespace ringside
