#include <algorithm>
#include <cmath>

#include "support.h"

namespace ringside {
namespace {

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
  for (const std::string& name : tested_backends()) {
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
  for (const std::string& name : tested_backends()) {
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
  for (const std::string& name : tested_backends()) {
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

// What is left to run of scores 0.5, 0.3, 0.15, 0.05 and weights for all four places.
struct Budget {
  const char* says;
  float cover;
  int max_run;
  bool normalized;
  std::vector<int> experts;
  Floats weights;
};

TEST_CASE("route runs only the experts that cover the budget") {
  // Softmax of the logarithms gives the scores back; they come in another order.
  const float scores[] = {0.15f, 0.5f, 0.05f, 0.3f};
  float w[4];
  for (int e = 0; e < 4; e++) w[e] = std::log(scores[e]);
  const Budget budgets[] = {
      {"cover 1: all", 1.0f, 0, true, {1, 3, 0, 2}, {0.5f, 0.3f, 0.15f, 0.05f}},
      {"cover 0.9: what reaches it",
       0.9f,
       0,
       true,
       {1, 3, 0, -1},
       {0.5263158f, 0.3157895f, 0.1578947f, 0}},
      {"cover 0.79: two are enough", 0.79f, 0, true, {1, 3, -1, -1}, {0.625f, 0.375f, 0, 0}},
      {"cover 0: one still runs", 0.0f, 0, true, {1, -1, -1, -1}, {1, 0, 0, 0}},
      {"cover tiny: exactly one", 1e-6f, 0, true, {1, -1, -1, -1}, {1, 0, 0, 0}},
      {"at most two", 1.0f, 2, true, {1, 3, -1, -1}, {0.625f, 0.375f, 0, 0}},
      {"the lesser of both", 0.9f, 2, true, {1, 3, -1, -1}, {0.625f, 0.375f, 0, 0}},
      {"at most more than there are", 1.0f, 9, true, {1, 3, 0, 2}, {0.5f, 0.3f, 0.15f, 0.05f}},
      {"not normalized", 0.79f, 0, false, {1, 3, -1, -1}, {0.625f, 0.375f, 0, 0}},
  };
  for (const std::string& name : tested_backends())
    for (const Budget& budget : budgets) {
      Router router{w, nullptr, nullptr, 4, 0, 1, 4, 1, 1, 2.0f, true, budget.normalized};
      router.cover = budget.cover;
      router.max_run = budget.max_run;
      const Routed r = route(*ready(name, 1), router, {1.0f}, 1, {}, 0);
      CAPTURE(name);
      CAPTURE(budget.says);
      CHECK(r.experts == budget.experts);
      for (size_t j = 0; j < 4; j++)
        CHECK(r.weights[j] == doctest::Approx(2.0 * budget.weights[j]).epsilon(1e-6));
    }
}

TEST_CASE("cover 1 runs all, also those whose score is nothing") {
  const float w[] = {-200, 0, -300};
  for (const std::string& name : tested_backends()) {
    const Router router{w, nullptr, nullptr, 3, 0, 1, 3, 1, 1, 1.0f, true};
    const Routed r = route(*ready(name, 1), router, {1.0f}, 1, {}, 0);
    CAPTURE(name);
    CHECK(r.experts == std::vector<int>{1, 0, 2});
    CHECK(r.weights[0] == 1.0f);
    CHECK(r.weights[1] < 1e-30f);
  }
}

TEST_CASE("a budget keeps the sum of the weights") {
  const Floats w = noise(20 * 64, 1, 0.2f), bias = noise(20, 2, 0.1f), h = noise(37 * 64, 4);
  for (const std::string& name : tested_backends())
    for (const bool softmax : {false, true})
      for (const bool normalized : {false, true})
        for (const float cover : {0.2f, 0.5f, 0.8f, 0.97f}) {
          Router router{w.data(), bias.data(), nullptr, 20,   0,       64,
                        6,        4,           2,       1.5f, softmax, normalized};
          const auto backend = ready(name, 2);
          const Routed all = route(*backend, router, h, 37, {}, 0);
          router.cover = cover;
          const Routed some = route(*backend, router, h, 37, {}, 0);
          for (size_t i = 0; i < 37; i++) {
            double all_sum = 0, some_sum = 0, covered = 0;
            size_t run = 0;
            while (run < 6 && some.experts[i * 6 + run] >= 0) run++;
            CHECK(run >= 1);
            for (size_t j = 0; j < 6; j++) {
              all_sum += all.weights[i * 6 + j];
              some_sum += some.weights[i * 6 + j];
              if (j < run) covered += all.weights[i * 6 + j];
              CHECK(some.experts[i * 6 + j] == (j < run ? all.experts[i * 6 + j] : -1));
            }
            CHECK(some_sum == doctest::Approx(all_sum).epsilon(1e-5));
            CHECK(covered >= cover * all_sum * (1 - 1e-5));
            // One fewer would not have been enough.
            CHECK(covered - all.weights[i * 6 + run - 1] <= cover * all_sum * (1 + 1e-5));
          }
        }
}

TEST_CASE("softmax scores are weighed as they are, or normalized") {
  const float w[] = {std::log(0.5f), std::log(0.125f), std::log(0.25f), std::log(0.125f)};
  for (const std::string& name : tested_backends())
    for (const bool normalized : {false, true}) {
      const Router router{w, nullptr, nullptr, 4, 0, 1, 2, 1, 1, 3.0f, true, normalized};
      const Routed r = route(*ready(name, 1), router, {1.0f}, 1, {}, 0);
      CAPTURE(name);
      CHECK(r.experts == std::vector<int>{0, 2});
      CHECK(r.weights[0] == doctest::Approx(3 * (normalized ? 2 / 3.0 : 0.5)));
      CHECK(r.weights[1] == doctest::Approx(3 * (normalized ? 1 / 3.0 : 0.25)));
    }
}

TEST_CASE("route takes as many groups as there are experts, and more") {
  constexpr int kExperts = 200;
  const Floats w = noise(kExperts, 5);
  const int best = int(std::max_element(w.begin(), w.end()) - w.begin());
  Limits limits;
  limits.max_experts = kExperts;
  limits.max_top_k = 2;
  limits.max_cols = limits.max_hidden = 32;
  for (const std::string& name : tested_backends())
    for (const int groups : {100, 200, 300}) {
      auto backend = make_tested(name, 1);
      backend->reserve(limits);
      const Router router{w.data(), nullptr, nullptr, kExperts, 0, 1, 2, groups, groups / 2, 1.0f};
      const Routed r = route(*backend, router, {1.0f}, 1, {}, 0);
      CAPTURE(name);
      CAPTURE(groups);
      CHECK(r.experts[0] == best);
    }
}

}  // namespace
}  // namespace ringside
