#include <algorithm>
#include <cmath>

#include "support.h"

namespace ringside {
namespace {

// Seen at most, over the shapes below: 3e-13, at the far position, where an angle has few bits
// left.
constexpr double kMaxError = 1e-11;

struct Case {
  int heads, head_dim, dim;
  float scale;
  bool interleaved, normed;
  int position;
};

// What backend.h says, in double.
Floats expected_of(const Case& c, const Floats& x, const Floats& weight, const Floats& frequency,
                   int n, int stride) {
  Floats y = x;
  for (int i = 0; i < n; i++)
    for (int h = 0; h < c.heads; h++) {
      float* head = y.data() + i * stride + h * c.head_dim;
      double square = 0;
      for (int e = 0; e < c.head_dim; e++) square += double(head[e]) * head[e];
      const double norm = 1 / std::sqrt(square / c.head_dim + 1e-6);
      for (int e = 0; c.normed && e < c.head_dim; e++)
        head[e] = float(head[e] * norm * weight[size_t(e)]);
      for (int j = 0; j < c.dim / 2; j++) {
        const int first = c.interleaved ? 2 * j : j;
        const int second = c.interleaved ? 2 * j + 1 : j + c.dim / 2;
        const double angle = double(float(c.position + i) * frequency[size_t(j)]);
        const double a = head[first], b = head[second];
        head[first] = float((a * std::cos(angle) - b * std::sin(angle)) * c.scale);
        head[second] = float((b * std::cos(angle) + a * std::sin(angle)) * c.scale);
      }
    }
  return y;
}

TEST_CASE("norm_rope follows the formula") {
  const Case cases[] = {
      {2, 16, 8, 1.0f, false, true, 70},       {2, 16, 16, 1.0f, true, false, 70},
      {3, 64, 64, 1.3f, false, false, 0},      {3, 64, 32, 0.7f, true, true, 5},
      {1, 256, 256, 1.0f, false, true, 9},     {1, 128, 0, 1.0f, false, true, 9},
      {4, 128, 128, 1.1f, true, false, 30000},
  };
  const int n = 50;  // enough work for threads
  double worst = 0;
  for (const std::string& name : tested_backends())
    for (const Case& c : cases) {
      const int stride = c.heads * c.head_dim + 8;
      const Floats x = noise(size_t(n * stride), 3), weight = noise(size_t(c.head_dim), 4);
      Floats frequency;
      for (int j = 0; j < c.dim / 2; j++)
        frequency.push_back(float(std::pow(1e4, -2.0 * j / c.dim)));
      const Rope rope{frequency.data(), c.dim, c.scale, c.interleaved};
      Floats y = x;
      ready(name, 2)->norm_rope(y.data(), c.normed ? weight.data() : nullptr, n, stride, c.heads,
                                c.head_dim, rope, 1e-6f, c.position);
      CAPTURE(name);
      CAPTURE(c.head_dim);
      CAPTURE(c.dim);
      const double error = nmse(y, expected_of(c, x, weight, frequency, n, stride));
      CHECK(error < kMaxError);
      worst = std::max(worst, error);
    }
  MESSAGE("largest NMSE: " << worst);
}

}  // namespace
}  // namespace ringside
