#include <cmath>
#include <cstring>

#include "placed.h"

namespace ringside::cuda {
namespace {

// Seen at most, over all that is multiplied below: 1e-12, where a single product nearly cancels
// out; from nine columns on 4.2e-13, with tensor cores and without. The bound is the CPU backends'.
constexpr double kMaxError = 2e-11;

Floats product(Device& device, const Matrix& host, const Floats& x, int n) {
  const Placed w(device, host);
  const Inputs input(device, x, host.cols);
  const Array<float> y(device, size_t(n) * size_t(host.rows));
  multiply(device.queue(), y.data(), {&w.matrix, 1}, input.view, n, host.rows);
  return y.host();
}

Floats expected(const Matrix& w, const Floats& x, int n) {
  Floats y(size_t(n) * size_t(w.rows), 7.0f);
  reference_backend()->matmul(y.data(), w, x.data(), n);
  return y;
}

// Compares products with the reference's, and keeps the largest error.
struct Check {
  Device device{0};
  double worst = 0;

  void operator()(Type type, int rows, int cols, int n, const Layout& layout = {}) {
    const Weights w(type, rows, cols, uint32_t(rows + cols), layout);
    const Floats x = noise(size_t(n * cols), uint32_t(n + cols));
    const double error = nmse(product(device, w.matrix, x, n), expected(w.matrix, x, n));
    CAPTURE(name_of(type));
    CAPTURE(rows);
    CAPTURE(cols);
    CAPTURE(n);
    CAPTURE(layout.group);
    CAPTURE(layout.block);
    CHECK(error < kMaxError);
    worst = std::max(worst, error);
  }
  ~Check() {
    emulator::set_order(0);
    MESSAGE("largest NMSE: " << worst);
  }
};

// Columns that `type` allows: around a warp's and a tile's steps, and odd where it allows that.
std::vector<int> widths(Type type) {
  if (block_cols(type) == kSuperBlock) return {256, 768};
  if (block_cols(type) == kGroup) return {32, 96, 1056};
  return {1, 37, 48, 200, 528};
}

TEST_CASE("few columns are multiplied as the reference does, in any order of threads") {
  Check check;
  for (const unsigned order : {0u, 1u, 2u, 3u}) {
    emulator::set_order(order);
    for (const Type type : kAllTypes)
      for (const int cols : widths(type))
        for (const int n : {1, 2, 3, 5, 8})
          if (order == 0 || n == 3) check(type, n == 3 ? 1 : 9, cols, n);
  }
}

TEST_CASE("many columns are multiplied as the reference does, with and without tensor cores") {
  Check check;
  check.device.queue().pretend_processors(4);  // more would get small tiles alone
  for (const bool mma : {true, false}) {
    check.device.queue().set_mma(mma);
    for (const unsigned order : {0u, 1u, 2u}) {
      emulator::set_order(order);
      for (const Type type : kAllTypes) {
        const std::vector<int> cols = widths(type);
        if (order == 0)
          for (const int width : cols) check(type, 35, width, 9);  // a small tile
        if (order == 1) check(type, 33, cols.back(), 33);
        if (order == 1) check(type, 195, cols[1], 34);          // four medium ones
        if (order == 2) check(type, 300, cols[1], 70);          // large ones of integers
        if (order == 2 && mma) check(type, 515, cols[1], 130);  // and of floats, also part used
      }
    }
  }
}

TEST_CASE("groups, zeros, blocks and biases are those of the reference") {
  Check check;
  for (const int n : {2, 12})
    for (const bool mma : {true, false}) {
      if (n == 2 && !mma) continue;
      check.device.queue().set_mma(mma);
      for (const bool zeros : {false, true}) {
        check(Type::int4, 7, 288, n, {32, zeros});
        check(Type::int4, 7, 320, n, {64, zeros});
        check(Type::int4, 7, 288, n, {96, zeros});
        check(Type::int4, 7, 384, n, {128, zeros});
        check(Type::int4, 7, 864, n, {864, zeros});  // one scale a row
      }
      for (const int cols : {1, 127, 128, 300, 512})
        check(Type::f8, 130, cols, n, {32, false, 128});
      check(Type::f8, 9, 96, n, {32, false, 32});
      check(Type::f8, 70, 80, n, {32, false, 20});  // blocks that end within a piece
      for (const Type type : kAllTypes) check(type, 35, 256, n, {32, false, 0, true});
    }
}

TEST_CASE("parts of several types follow each other in wider rows") {
  Device device(0);
  const int cols = 256;
  const std::vector<Weights> host = [&] {
    std::vector<Weights> all;
    int rows = 5;
    for (const Type type :
         {Type::q4_k, Type::q6_k, Type::f16, Type::q4_k, Type::bf16, Type::int4}) {
      rows += 9;
      all.emplace_back(type, rows, cols, uint32_t(rows), Layout{32, false, 0, rows % 2 == 0});
    }
    return all;
  }();
  std::vector<std::unique_ptr<Placed>> placed;
  std::vector<Matrix> parts;
  size_t stride = 3;
  for (const Weights& w : host) {
    placed.push_back(std::make_unique<Placed>(device, w.matrix));
    parts.push_back(placed.back()->matrix);
    stride += size_t(w.matrix.rows);
  }
  for (const int n : {1, 4, 11}) {
    const Floats x = noise(size_t(n * cols), 3);
    const Inputs input(device, x, cols);
    const Array<float> y(device, size_t(n) * stride);
    multiply(device.queue(), y.data(), parts, input.view, n, int(stride));
    const Floats got = y.host();
    size_t first = 0;
    for (const Weights& w : host) {
      const Floats alone = product(device, w.matrix, x, n);
      const size_t rows = size_t(w.matrix.rows);
      for (size_t i = 0; i < size_t(n); i++)
        for (size_t r = 0; r < rows; r++)
          REQUIRE(got[i * stride + first + r] == alone[i * rows + r]);
      first += rows;
    }
    for (size_t i = 0; i < size_t(n); i++)
      for (size_t r = first; r < stride; r++) CHECK(std::isnan(got[i * stride + r]));  // untouched
  }
}

// What a product does not depend on. Between them, few columns, small, medium and large tiles add
// up in different orders.
TEST_CASE("up to eight columns give each what it gives alone") {
  Device device(0);
  for (const Type type : kAllTypes) {
    const int cols = block_cols(type) == 1 ? 272 : 768;
    const Weights w(type, 11, cols, 5);
    const Floats x = noise(size_t(8 * cols), 6), whole = product(device, w.matrix, x, 8);
    for (const int n : {1, 2, 3}) {
      const Floats some(x.end() - n * cols, x.end());
      CAPTURE(name_of(type));
      CHECK(Floats(whole.end() - n * 11, whole.end()) == product(device, w.matrix, some, n));
    }
  }
}

TEST_CASE("the largest integers do not overflow") {
  // Every weight and every input at its bound, of one sign: what saturates would show.
  const int cols = 512;
  Device device(0);
  for (const Type type : kAllTypes) {
    if (block_cols(type) == 1) continue;
    for (const uint8_t bits : {0xff, 0x00, 0x80, 0x7f}) {
      Weights bounds(type, 1, cols, 1);
      bounds.fill_blocks(bits);
      Floats values(size_t(cols), 0.0f);
      const Token first = 0;
      reference_backend()->embed(values.data(), bounds.matrix, &first, 1);
      for (const float sign : {1.0f, -1.0f})
        for (const int n : {1, 9})
          for (const bool mma : {true, false}) {
            device.queue().set_mma(mma);
            const Floats x(size_t(n * cols), sign * 127.0f);
            const Floats y = product(device, bounds.matrix, x, n);
            double sum = 0, size = 0;
            for (const float value : values) {
              sum += double(sign) * 127 * value;
              size += 127 * std::abs(double(value));
            }
            CAPTURE(name_of(type));
            CAPTURE(int(bits));
            CHECK(std::abs(y[0] - sum) <= 1e-5 * size);
            CHECK(std::abs(y.back() - sum) <= 1e-5 * size);
          }
    }
  }
}

TEST_CASE("activations are rounded bit for bit") {
  Device device(0);
  for (const int cols : {32, 96, 1024, 45}) {
    Floats x = noise(size_t(3 * cols), 8);
    std::fill_n(x.begin(), cols, 0.0f);  // a scale of zero
    const Inputs input(device, x, cols);
    const auto q = input.q.host();
    const auto bf16 = input.bf16.host();
    const auto groups = input.groups.host();
    for (size_t i = 0; i < x.size(); i++) REQUIRE(bf16[i] == float_to_bf16(x[i]));
    for (size_t g = 0; cols % kGroup == 0 && g < groups.size(); g++) {
      const float scale = group_scale(&x[g * kGroup]), inverse = scale == 0 ? 0 : 1 / scale;
      int sum = 0;
      for (size_t c = g * kGroup; c < (g + 1) * kGroup; c++) {
        REQUIRE(q[c] == quantize(x[c], inverse));
        sum += q[c];
      }
      CHECK(groups[g].x == scale);
      CHECK(groups[g].y == scale * float(sum));
    }
  }
}

TEST_CASE("gate_up is both products, SwiGLU and the rounding") {
  Device device(0);
  const auto reference = reference_backend();
  double worst = 0;
  for (const Type type : kAllTypes)
    for (const int n : {1, 2, 4, 7, 10, 40}) {
      const bool odd = block_cols(type) == 1 && n % 2 == 0;
      const int cols = odd ? 45 : 256, rows = odd ? 45 : 96;
      const Type other = block_cols(type) == 1 ? Type::bf16 : Type::q5_0;
      const Weights gate(type, rows, cols, 1, {32, false, 0, n == 2});
      const Weights up(n == 7 ? other : type, rows, cols, 2, {32, false, 0, n == 4});
      const Floats x = noise(size_t(n * cols), 3, 0.1f);
      const Placed gate_placed(device, gate.matrix), up_placed(device, up.matrix);
      const Inputs input(device, x, cols), hidden(device, n, rows);
      gate_up(device.queue(), hidden.f32.data(), hidden.view, hidden.forms, gate_placed.matrix,
              up_placed.matrix, input.view, n);

      const Floats got = hidden.f32.host();
      Floats wanted = expected(gate.matrix, x, n);
      reference->swiglu(wanted.data(), expected(up.matrix, x, n).data(), int64_t(wanted.size()));
      CAPTURE(name_of(type));
      CAPTURE(n);
      worst = std::max(worst, nmse(got, wanted));
      CHECK(nmse(got, wanted) < kMaxError);
      const Inputs again(device, got, rows);
      CHECK(hidden.bf16.host() == again.bf16.host());
      if ((hidden.forms & kIntegers) == 0) continue;
      CHECK(hidden.q.host() == again.q.host());
      const auto groups = hidden.groups.host(), wanted_groups = again.groups.host();
      CHECK(std::memcmp(groups.data(), wanted_groups.data(), groups.size() * sizeof(float2)) == 0);
    }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("no columns are no work") {
  Device device(0);
  const Weights w(Type::q4_0, 5, 32, 1);
  const Placed placed(device, w.matrix);
  const Activations none{nullptr, nullptr, nullptr, nullptr, 32};
  multiply(device.queue(), nullptr, {&placed.matrix, 1}, none, 0, 5);
  embed(device.queue(), nullptr, placed.matrix, nullptr, 0);
  prepare(device.queue(), none, 0, kIntegers);
  gate_up(device.queue(), nullptr, none, 0, placed.matrix, placed.matrix, none, 0);
}

}  // namespace
}  // namespace ringside::cuda
