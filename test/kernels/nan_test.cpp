// What is no number stays none: damaged weights are found by the logits that come of them.
#include <bit>
#include <cmath>

#include "support.h"

namespace ringside {
namespace {

const float kGpuNan = std::bit_cast<float>(0x7fffffff);  // which a GPU makes of what is no number

int numbers_in(const Floats& values) {
  int numbers = 0;
  for (const float value : values) numbers += std::isfinite(value) ? 1 : 0;
  return numbers;
}

TEST_CASE("no product with an activation that is no number is one, wherever it stands") {
  constexpr int kRows = 5;
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 1);
    for (const Type type : {Type::int4, Type::q4_k, Type::q6_k, Type::q8_0, Type::f8, Type::bf16})
      for (const int n : {1, 40}) {  // rows, and panels; every fifth column has each lane of eight
        const int cols = block_cols(type) == kSuperBlock ? kSuperBlock : 64;
        const Weights w(type, kRows, cols, 1);
        for (const float value : {NAN, INFINITY, kGpuNan, -kGpuNan})
          for (int c = 0; c < kGroup; c += n == 1 ? 5 : 31) {
            Floats x = noise(size_t(n) * size_t(cols), 2);
            for (int row = 0; row < n; row++) x[size_t(row) * size_t(cols) + size_t(c)] = value;
            Floats y(size_t(n * kRows), 7.0f);
            backend->matmul(y.data(), w.matrix, x.data(), n);
            CAPTURE(name);
            CAPTURE(name_of(type));
            CAPTURE(n);
            CAPTURE(value);
            CAPTURE(c);
            CHECK(numbers_in(y) == 0);
          }
      }
  }
}

}  // namespace
}  // namespace ringside
