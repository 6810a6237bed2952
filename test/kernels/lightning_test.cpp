#include <cmath>

#include "support.h"

namespace ringside {
namespace {

// Seen at most, over the shapes and batches below, outputs and state: 4.5e-12.
constexpr double kMaxError = 5e-11;

struct State {
  Floats s, decay;
  LinearState view;
  State(int heads, int dim) : s(noise(size_t(heads * dim * dim), 8)) {
    for (int h = 0; h < heads; h++) decay.push_back(std::pow(0.25f, float(h)) + 1e-5f);
    view = {s.data(), decay.data(), heads, dim};
  }
};

struct Result {
  Floats out, state;
};

// `total` tokens, `batch` at a time; q, k, v lie side by side in rows, as in a fused projection.
Result run(Backend& backend, int heads, int dim, int total, int batch, bool outputs = true) {
  State state(heads, dim);
  const int width = heads * dim, stride = 3 * width;
  const Floats qkv = noise(size_t(total * stride), 11);
  Floats out(size_t(total * width));
  for (int p = 0; p < total; p += batch) {
    const int n = std::min(batch, total - p);
    const float* q = qkv.data() + p * stride;
    if (outputs) {
      backend.lightning(out.data() + p * width, q, q + width, q + 2 * width, state.view, n, stride);
    } else {
      backend.advance(q + width, q + 2 * width, state.view, n, stride);
    }
  }
  return {out, state.s};
}

TEST_CASE("lightning: many tokens at once are the recurrence") {
  const auto reference = ready("reference", 1);
  double worst = 0;
  for (const auto& [heads, dim] : {std::pair{4, 64}, {3, 12}, {1, 20}, {8, 33}}) {
    const Result expected = run(*reference, heads, dim, 201, 1);
    for (const std::string& name : tested_backends()) {
      const auto backend = ready(name, 2);
      for (const int batch : {1, 2, 63, 64, 65, 201}) {
        const Result result = run(*backend, heads, dim, 201, batch);
        const double error =
            std::max(nmse(result.out, expected.out), nmse(result.state, expected.state));
        CAPTURE(name);
        CAPTURE(dim);
        CAPTURE(batch);
        CHECK(error < kMaxError);
        CHECK(nmse(run(*backend, heads, dim, 201, batch, false).state, expected.state) < kMaxError);
        worst = std::max(worst, error);
      }
    }
  }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("lightning: one token by hand") {
  for (const std::string& name : tested_backends()) {
    Floats s = {1, 2, 3, 4};  // [k][v]
    const float decay = std::log(2.0f);
    const float q[] = {1, 10}, k[] = {2, 3}, v[] = {5, 7};
    float out[2];
    ready(name, 1)->lightning(out, q, k, v, {s.data(), &decay, 1, 2}, 1, 2);
    const float expected[] = {10.5f, 15, 16.5f, 23};
    for (int i = 0; i < 4; i++) CHECK(s[size_t(i)] == doctest::Approx(expected[i]));
    CHECK(out[0] == doctest::Approx((10.5 + 165) / std::sqrt(2.0)));
    CHECK(out[1] == doctest::Approx((15 + 230) / std::sqrt(2.0)));
  }
}

TEST_CASE("threads do not change lightning") {
  for (const std::string& name : others())
    for (const int batch : {1, 128}) {
      const Result one = run(*ready(name, 1), 4, 64, 256, batch);
      const Result three = run(*ready(name, 3), 4, 64, 256, batch);
      CHECK(one.out == three.out);
      CHECK(one.state == three.state);
    }
}

}  // namespace
}  // namespace ringside
