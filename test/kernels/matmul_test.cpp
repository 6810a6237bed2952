#include "support.h"

namespace ringside {
namespace {

constexpr Type kTypes[] = {Type::f32, Type::f16, Type::bf16, Type::f8, Type::int4};

// Seen at most, over 5 types x 20 seeds with odd shapes, AVX2 and AVX-512: 1.6e-13.
constexpr double kMaxError = 1e-12;

Floats product(Backend& backend, const Matrix& w, const Floats& x, int n) {
  Floats y(size_t(n) * size_t(w.rows), 7.0f);
  backend.matmul(y.data(), w, x.data(), n);
  return y;
}

TEST_CASE("every backend multiplies as the reference does") {
  const auto reference = ready("reference", 1);
  double worst = 0;
  for (const std::string& name : others()) {
    const auto backend = ready(name, 2);
    for (const Type type : kTypes)
      for (uint32_t seed = 0; seed < 20; seed++) {
        const int rows = 1 + int(seed * 13 % 70), n = 1 + int(seed * seed % 19);
        const int cols = type == Type::int4 ? 32 * (1 + int(seed) % 9) : 1 + int(seed * 29 % 131);
        const Weights w(type, rows, cols, seed);
        const Floats x = noise(size_t(n) * size_t(cols), seed + 100);
        const double error =
            nmse(product(*backend, w.matrix, x, n), product(*reference, w.matrix, x, n));
        CAPTURE(name);
        CAPTURE(int(type));
        CAPTURE(rows);
        CAPTURE(cols);
        CAPTURE(n);
        CHECK(error < kMaxError);
        worst = std::max(worst, error);
      }
  }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("the reference multiplies what the matrix holds") {
  const uint8_t packed[16] = {0x0f, 0x98};  // 7, -8, 0, 1, then -8 each
  const uint16_t half = 0x3800;             // 0.5
  const Matrix w = {Type::int4, 1, 32, packed, &half};
  Floats x(32, 0.0f);
  x[0] = 127.0f, x[1] = 1.0f, x[2] = 50.0f, x[3] = -4.0f;
  for (const std::string& name : available_backends())
    CHECK(product(*ready(name, 1), w, x, 1)[0] == 0.5f * (127 * 7 - 8 + 0 - 4));
}

TEST_CASE("threads and batches do not change a product") {
  for (const std::string& name : others())
    for (const Type type : kTypes) {
      const Weights w(type, 300, 256, 5);
      const Floats x = noise(64 * 256, 6);
      const auto one = ready(name, 1), three = ready(name, 3);
      const Floats whole = product(*one, w.matrix, x, 64);
      CHECK(whole == product(*three, w.matrix, x, 64));
      const Floats first = product(*one, w.matrix, x, 1);
      CHECK(Floats(whole.begin(), whole.begin() + 300) == first);
    }
}

TEST_CASE("embed gives the row, dequantized") {
  const auto reference = ready("reference", 1);
  const Token tokens[] = {4, 0, 8, 4};
  for (const std::string& name : others())
    for (const Type type : kTypes) {
      const Weights w(type, 9, 64, 3);
      Floats a(4 * 64), b(4 * 64);
      ready(name, 1)->embed(a.data(), w.matrix, tokens, 4);
      reference->embed(b.data(), w.matrix, tokens, 4);
      CHECK(a == b);
      CHECK(Floats(a.begin(), a.begin() + 64) == Floats(a.end() - 64, a.end()));
    }
}

}  // namespace
}  // namespace ringside
