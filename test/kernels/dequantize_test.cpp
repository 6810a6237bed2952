#include <cmath>

#include "golden_blocks.h"
#include "support.h"

namespace ringside {
namespace {

Floats row_of(Backend& backend, const Matrix& w, Token row) {
  Floats y(size_t(w.cols), 7.0f);
  backend.embed(y.data(), w, &row, 1);
  return y;
}

TEST_CASE("blocks hold what the gguf package says") {
  CHECK(kGoldenBlocks.size() == 8);
  for (const std::string& name : tested_backends())
    for (const GoldenBlocks& golden : kGoldenBlocks) {
      const int cols = int(golden.values.size());
      const Matrix w{golden.type, 1, cols, golden.bytes.data()};
      CAPTURE(name);
      CAPTURE(name_of(golden.type));
      CHECK(row_bytes(golden.type, cols) == int64_t(golden.bytes.size()));
      const Floats y = row_of(*ready(name, 1), w, 0);
      for (size_t i = 0; i < golden.values.size(); i++) {
        const size_t block = size_t(block_cols(golden.type));
        float top = 0.0f;  // of the block: d q and m may cancel, and some processors fuse them
        for (size_t j = i / block * block; j < (i / block + 1) * block; j++)
          top = std::max(top, std::abs(golden.values[j]));
        CHECK(std::abs(y[i] - golden.values[i]) <= 1e-7f * top);
      }
    }
}

// What half-precision bits mean.
struct Half {
  Type type;
  uint16_t bits;
  float value;
};

TEST_CASE("halves keep their edges") {
  const Half halves[] = {
      {Type::f16, 0x0000, 0.0f},        {Type::f16, 0x8000, -0.0f},
      {Type::f16, 0x0001, 0x1p-24f},    {Type::f16, 0x83ff, -0x1.ff8p-15f},
      {Type::f16, 0x0400, 0x1p-14f},    {Type::f16, 0x3c01, 1.0009765625f},
      {Type::f16, 0x7bff, 65504.0f},    {Type::f16, 0xfc00, -INFINITY},
      {Type::bf16, 0x8000, -0.0f},      {Type::bf16, 0x0001, 0x1p-133f},
      {Type::bf16, 0x3f81, 1.0078125f}, {Type::bf16, 0x7f7f, 0x1.fep127f},
      {Type::bf16, 0x7f80, INFINITY},
  };
  for (const std::string& name : tested_backends())
    for (const Half& half : halves) {
      const float y = row_of(*ready(name, 1), {half.type, 1, 1, &half.bits}, 0)[0];
      CAPTURE(half.bits);
      CHECK(y == half.value);
      CHECK(std::signbit(y) == std::signbit(half.value));
    }
  const uint16_t nan[] = {0x7e00, 0xfe01}, wide_nan = 0x7fc0;
  CHECK(std::isnan(row_of(*ready("reference", 1), {Type::f16, 2, 1, nan}, 1)[0]));
  CHECK(std::isnan(row_of(*ready("reference", 1), {Type::bf16, 1, 1, &wide_nan}, 0)[0]));
}

TEST_CASE("scales and zeros belong to groups and blocks") {
  // Two rows of 128 columns; the nibbles of row r are all r + 5.
  std::vector<uint8_t> packed(128, 0x55);
  std::fill(packed.begin() + 64, packed.end(), uint8_t(0x66));
  const uint16_t scales[] = {0x3c00, 0x4000, 0x4400, 0x4800};  // 1, 2, 4, 8
  const uint8_t zeros[] = {0, 15, 6, 8};
  Matrix w{Type::int4, 2, 128, packed.data(), scales, zeros, 64};
  // E4M3: 1. Blocks of 2 in a matrix of 3 x 5: 2 x 3 of them, the last ones smaller.
  const std::vector<uint8_t> ones(15, 0x38);
  const float blocks[] = {1, 2, 3, 4, 5, 6};
  const Matrix f8{Type::f8, 3, 5, ones.data(), blocks, nullptr, kGroup, 2};
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 1);
    const Floats first = row_of(*backend, w, 0), second = row_of(*backend, w, 1);
    CHECK(first[0] == 5.0f);
    CHECK(first[63] == 5.0f);
    CHECK(first[64] == -20.0f);
    CHECK(second[63] == 0.0f);
    CHECK(second[127] == -16.0f);
    CHECK(row_of(*backend, f8, 1) == Floats{1, 1, 2, 2, 3});
    CHECK(row_of(*backend, f8, 2) == Floats{4, 4, 5, 5, 6});
  }
}

TEST_CASE("every backend embeds the same rows") {
  const auto reference = ready("reference", 1);
  const Token tokens[] = {4, 0, 8, 4};
  for (const std::string& name : others())
    for (const Type type : kAllTypes) {
      const int cols = block_cols(type) == kSuperBlock ? 512 : 64;
      const Weights w(type, 9, cols, 3);
      Floats a(size_t(4 * cols)), b(a);
      ready(name, 1)->embed(a.data(), w.matrix, tokens, 4);
      reference->embed(b.data(), w.matrix, tokens, 4);
      CHECK(a == b);
      CHECK(Floats(a.begin(), a.begin() + cols) == Floats(a.end() - cols, a.end()));
    }
}

}  // namespace
}  // namespace ringside
