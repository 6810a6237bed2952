#include "../../../kernels/dequantize.h"
#include "placed.h"

namespace ringside::cuda {
namespace {

// The rows of w that `tokens` name, from the device.
Floats embedded(Device& device, const Matrix& host, const std::vector<Token>& tokens,
                size_t staging_bytes = 1000) {
  const Placed placed(device, host, staging_bytes);
  const Array<Token> names(device, tokens);
  const Array<float> y(device, tokens.size() * size_t(host.cols));
  embed(device.queue(), y.data(), placed.matrix, names.data(), int(tokens.size()));
  return y.host();
}

Floats dequantized(const Matrix& w, const std::vector<Token>& tokens) {
  Floats rows;
  for (const Token row : tokens) {
    Floats values(size_t(w.cols));
    dequantize_row(values.data(), w, row);
    rows.insert(rows.end(), values.begin(), values.end());
  }
  return rows;
}

TEST_CASE("a placed matrix holds what the file does, in any order of threads") {
  Device device(0);
  for (const unsigned order : {0u, 1u, 2u}) {
    emulator::set_order(order);
    for (const Type type : kAllTypes)
      for (const int blocks : {1, 3}) {
        const int cols = block_cols(type) == 1 ? 37 * blocks : block_cols(type) * blocks;
        const Weights w(type, 5, cols, uint32_t(blocks));
        const std::vector<Token> tokens = {4, 0, 1, 4, 2, 3};
        CAPTURE(name_of(type));
        CAPTURE(cols);
        CHECK(embedded(device, w.matrix, tokens) == dequantized(w.matrix, tokens));
      }
  }
  emulator::set_order(0);
}

TEST_CASE("groups, zeros and blocks are placed") {
  Device device(0);
  const auto check = [&](Type type, int rows, int cols, const Layout& layout) {
    const Weights w(type, rows, cols, uint32_t(cols), layout);
    std::vector<Token> tokens;
    for (int row = 0; row < rows; row++) tokens.push_back(row);
    CAPTURE(name_of(type));
    CAPTURE(cols);
    CAPTURE(layout.group);
    CAPTURE(layout.block);
    CHECK(embedded(device, w.matrix, tokens) == dequantized(w.matrix, tokens));
  };
  for (const bool zeros : {false, true}) {
    check(Type::int4, 5, 96, {32, zeros});
    check(Type::int4, 5, 192, {64, zeros});
    check(Type::int4, 5, 288, {96, zeros});
    check(Type::int4, 5, 384, {128, zeros});
    check(Type::int4, 3, 864, {864, zeros});
  }
  for (const int block : {16, 20, 128})
    for (const int cols : {1, 127, 128, 300}) check(Type::f8, 130, cols, {kGroup, false, block});
}

TEST_CASE("a matrix of any size passes through the least staging memory") {
  Device device(0);
  for (const Type type : kAllTypes) {
    const Weights w(type, 3, 512, 1);
    const std::vector<Token> tokens = {0, 1, 2};
    const size_t block = size_t(row_bytes(type, block_cols(type)));
    CAPTURE(name_of(type));
    CHECK(embedded(device, w.matrix, tokens, block) == dequantized(w.matrix, tokens));
    if (block_cols(type) > 1)
      CHECK_THROWS_AS(embedded(device, w.matrix, tokens, block - 1), DeviceError);
  }
}

TEST_CASE("placed weights take as much memory as the file, but for the planes' ends") {
  for (const Type type : kAllTypes) {
    const Weights w(type, 64, 1024, 1);
    const size_t bytes = placed_bytes(w.matrix), file = w.data.size();
    const size_t scales = w.half_scales.size() * 2 + w.float_scales.size() * 4;
    CAPTURE(name_of(type));
    CHECK(bytes >= file + scales);
    CHECK(bytes < file + scales + 4 * 256);
  }
}

}  // namespace
}  // namespace ringside::cuda
