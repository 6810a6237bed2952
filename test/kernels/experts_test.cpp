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
  backend.experts(y.data(), {experts.all, nullptr}, chosen.data(), weights.data(), top_k, x.data(),
                  n);
  return y;
}

TEST_CASE("experts add what the reference adds") {
  const auto reference = ready("reference", 1);
  double worst = 0;
  for (const Type type : kAllTypes) {
    const bool wide = block_cols(type) == kSuperBlock;
    const int dim = wide ? 512 : 96;
    const Experts experts(20, dim, wide ? 256 : 64, type);
    for (const int n : {1, 2, 7, 65}) {
      if (wide && n == 65) continue;  // the reference takes seconds
      const Floats expected = run(*reference, experts, dim, n, 3);
      for (const std::string& name : others()) {
        const double error = nmse(run(*ready(name, 2), experts, dim, n, 3), expected);
        CAPTURE(name);
        CAPTURE(name_of(type));
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

TEST_CASE("experts leave out the places that hold -1") {
  const int dim = 64, n = 5, top_k = 3;
  const Experts experts(6, dim, 32, Type::int4);
  const Floats x = noise(n * dim, 3), before = noise(n * dim, 4);
  // The second token takes none; what a left out place weighs must not matter.
  const std::vector<int> chosen = {2, 0, -1, -1, -1, -1, -1, 5, 2, 1, -1, 4, 3, -1, -1};
  const Floats weights(n * top_k, 0.5f);
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 2);
    Floats y = before, expected = before;
    backend->experts(y.data(), {experts.all, nullptr}, chosen.data(), weights.data(), top_k,
                     x.data(), n);
    for (int i = 0; i < n; i++)
      for (int j = 0; j < top_k; j++) {
        const int one = chosen[size_t(i * top_k + j)];
        if (one >= 0)
          backend->experts(expected.data() + i * dim, {experts.all, nullptr}, &one, weights.data(),
                           1, x.data() + i * dim, 1);
      }
    CAPTURE(name);
    CHECK(y == expected);
    CHECK(Floats(y.begin() + dim, y.begin() + 2 * dim) ==
          Floats(before.begin() + dim, before.begin() + 2 * dim));
  }
}

TEST_CASE("experts may differ in type") {
  const int dim = 256, hidden = 256;
  std::vector<Weights> w;
  for (const Type type : {Type::int4, Type::q4_k, Type::f8, Type::q6_k, Type::q8_0, Type::f16})
    for (uint32_t seed = 0; seed < 2; seed++) w.emplace_back(type, dim, hidden, seed);
  Experts experts(0, dim, hidden, Type::f32);
  for (size_t e = 0; e < w.size(); e++)
    experts.all.push_back(
        {w[e].matrix, w[(e + 3) % w.size()].matrix, w[(e + 7) % w.size()].matrix});
  const Floats expected = run(*ready("reference", 1), experts, dim, 9, 3);
  for (const std::string& name : others())
    CHECK(nmse(run(*ready(name, 2), experts, dim, 9, 3), expected) < kMaxError);
}

}  // namespace
}  // namespace ringside
