#include <cmath>

#include "support.h"

namespace ringside {
namespace {

// Seen at most, over 13 types x 20 seeds with odd shapes, AVX2 and AVX-512: 4.7e-12, where a single
// product nearly cancels out (q6_k, 1 x 256); elsewhere below 7e-13.
constexpr double kMaxError = 2e-11;

Floats product(Backend& backend, const Matrix& w, const Floats& x, int n) {
  Floats y(size_t(n) * size_t(w.rows), 7.0f);
  backend.matmul(y.data(), w, x.data(), n);
  return y;
}

// A shape that `type` allows: odd, and around the 32, 256 and 512 columns that loops step by.
struct Shape {
  int rows, cols, n;
  Shape(Type type, int seed) : rows(1 + seed * 13 % 70), n(1 + seed * seed % 19) {
    cols = block_cols(type) * (1 + seed % (block_cols(type) == 1 ? 131 : 9));
    if (block_cols(type) == 1) cols = 1 + seed * 29 % 131;
    if (block_cols(type) == kSuperBlock) cols = kSuperBlock * (1 + seed % 4);
  }
};

double error_of(Backend& backend, Backend& reference, const Weights& w, const Shape& s, int seed) {
  const Floats x = noise(size_t(s.n) * size_t(s.cols), uint32_t(seed) + 100);
  return nmse(product(backend, w.matrix, x, s.n), product(reference, w.matrix, x, s.n));
}

TEST_CASE("every backend multiplies as the reference does") {
  const auto reference = ready("reference", 1);
  double worst = 0;
  for (const std::string& name : others()) {
    const auto backend = ready(name, 2);
    for (const Type type : kAllTypes)
      for (int seed = 0; seed < 20; seed++) {
        const Shape s(type, seed);
        const Weights w(type, s.rows, s.cols, uint32_t(seed));
        const double error = error_of(*backend, *reference, w, s, seed);
        CAPTURE(name);
        CAPTURE(name_of(type));
        CAPTURE(s.rows);
        CAPTURE(s.cols);
        CAPTURE(s.n);
        CHECK(error < kMaxError);
        worst = std::max(worst, error);
      }
  }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("every backend scales groups and blocks as the reference does") {
  const auto reference = ready("reference", 1);
  double worst = 0;
  for (const std::string& name : others()) {
    const auto backend = ready(name, 2);
    const auto check = [&](Type type, int rows, int cols, const Layout& layout) {
      Shape s(type, 5);
      s.rows = rows;
      s.cols = cols;
      const Weights w(type, rows, cols, uint32_t(cols), layout);
      for (const int n : {7, 31}) {  // of rows, and of panels
        s.n = n;
        const double error = error_of(*backend, *reference, w, s, cols);
        CAPTURE(name);
        CAPTURE(name_of(type));
        CAPTURE(cols);
        CAPTURE(n);
        CAPTURE(layout.group);
        CAPTURE(layout.block);
        CHECK(error < kMaxError);
        worst = std::max(worst, error);
      }
    };
    for (const bool zeros : {false, true}) {
      for (const int cols : {32, 96, 256, 288, 480, 1024}) check(Type::int4, 7, cols, {32, zeros});
      for (const int cols : {64, 192, 256, 320, 960}) check(Type::int4, 7, cols, {64, zeros});
      for (const int cols : {128, 384, 640, 1024}) check(Type::int4, 7, cols, {128, zeros});
      for (const int cols : {96, 288, 864}) check(Type::int4, 7, cols, {96, zeros});
      check(Type::int4, 7, 864, {864, zeros});  // one scale a row
    }
    for (const int cols : {1, 127, 128, 129, 300, 512})
      for (const int rows : {1, 129, 260}) check(Type::f8, rows, cols, {kGroup, false, 128});
    check(Type::f8, 9, 100, {kGroup, false, 32});
    check(Type::f8, 70, 100, {kGroup, false, 20});  // blocks that end within the rows of a part
    for (const Type type : kAllTypes) check(type, 70, 256, {kGroup, false, 0, true});
  }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("a bias is added, and rows of y may lie apart") {
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 2);
    const Weights w(Type::q8_0, 37, 64, 1, {kGroup, false, 0, true});
    Matrix plain = w.matrix;
    plain.bias = nullptr;
    const Floats x = noise(5 * 64, 2), without = product(*backend, plain, x, 5);
    Floats y(5 * 50, 7.0f);
    backend->matmul(y.data(), w.matrix, x.data(), 5, 50);
    for (size_t i = 0; i < 5; i++)
      for (size_t r = 0; r < 50; r++)
        CHECK(y[i * 50 + r] == (r < 37 ? without[i * 37 + r] + w.bias[r] : 7.0f));
  }
}

TEST_CASE("the reference multiplies what the matrix holds") {
  const uint8_t packed[16] = {0x0f, 0x98};  // 7, -8, 0, 1, then -8 each
  const uint16_t half = 0x3800;             // 0.5
  const Matrix w = {Type::int4, 1, 32, packed, &half};
  Floats x(32, 0.0f);
  x[0] = 127.0f, x[1] = 1.0f, x[2] = 50.0f, x[3] = -4.0f;
  for (const std::string& name : tested_backends())
    CHECK(product(*ready(name, 1), w, x, 1)[0] == 0.5f * (127 * 7 - 8 + 0 - 4));
}

// Where integers meet panels, sums of many rows of x are rounded in another order than those of a
// few. Seen at most: 7e-14.
constexpr double kMaxReorder = 1e-12;

TEST_CASE("threads do not change a product, and batches only how it is rounded") {
  double worst = 0;
  for (const std::string& name : others())
    for (const Type type : kAllTypes)
      for (const int n : {3, 66, 250}) {
        const Weights w(type, 299, 256, 5, {kGroup, false, 0, true});
        const bool integers = block_cols(type) > 1;
        const bool panels =
            n > 4 && (integers ? name != "neon" : name == "avx2" || name == "avxvnni");
        const Floats x = noise(size_t(n) * 256, 6);
        const auto one = ready(name, 1), three = ready(name, 3);
        const Floats whole = product(*one, w.matrix, x, n);
        CHECK(whole == product(*three, w.matrix, x, n));
        for (int i = 0; i < n; i += n < 10 ? 1 : 13) {
          const Floats row(x.begin() + i * 256, x.begin() + (i + 1) * 256);
          const Floats alone = product(*one, w.matrix, row, 1);
          const Floats among(whole.begin() + i * 299, whole.begin() + (i + 1) * 299);
          CAPTURE(name);
          CAPTURE(name_of(type));
          if (!panels) CHECK(among == alone);
          const double error = nmse(among, alone);
          CHECK(error < kMaxReorder);
          worst = std::max(worst, error);
        }
      }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("a wider input leaves nothing behind for a narrower one") {
  const Weights wide(Type::q4_0, 5, 1024, 1), narrow(Type::q4_0, 5, 32, 2);
  const Floats x = noise(32, 3), endless(1024, INFINITY);  // its scales and sums are no numbers
  for (const std::string& name : others()) {
    const auto fresh = ready(name, 1), used = ready(name, 1);
    product(*used, wide.matrix, endless, 1);
    CHECK(product(*used, narrow.matrix, x, 1) == product(*fresh, narrow.matrix, x, 1));
  }
}

TEST_CASE("the largest integers do not overflow, of few rows and of many") {
  // Every weight and every input at its bound, of one sign: what saturates would show.
  const int cols = 512, rows = 16;
  for (const std::string& name : tested_backends())
    for (const Type type : kAllTypes) {
      if (block_cols(type) == 1) continue;
      for (const uint8_t bits : {0xff, 0x00, 0x80, 0x7f}) {
        Weights bounds(type, rows, cols, 1);
        bounds.fill_blocks(bits);
        Floats values(size_t(cols), 0.0f);
        const Token first = 0;
        ready(name, 1)->embed(values.data(), bounds.matrix, &first, 1);
        for (const int n : {1, 16})
          for (const float sign : {1.0f, -1.0f}) {
            const Floats x(size_t(n) * size_t(cols), sign * 127.0f);
            double expected = 0, size = 0;
            for (const float value : values) {
              expected += double(sign) * 127 * value;
              size += 127 * std::abs(double(value));
            }
            CAPTURE(name);
            CAPTURE(name_of(type));
            CAPTURE(int(bits));
            CAPTURE(n);
            const Floats y = product(*ready(name, 1), bounds.matrix, x, n);
            for (int i = 0; i < n; i++)
              CHECK(std::abs(y[size_t(i) * rows] - expected) <= 1e-5 * size);
          }
      }
    }
}

}  // namespace
}  // namespace ringside
