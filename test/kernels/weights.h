// Random matrices of every type, for the kernel tests and the bench: bits that are finite and of a
// size, with everything that a type can hold in them (negative scales, zero minima, all quants).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend.h"
#include "quant.h"

namespace ringside {

constexpr Type kAllTypes[] = {Type::f32,  Type::f16,  Type::bf16, Type::f8,   Type::int4,
                              Type::q8_0, Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1,
                              Type::q4_k, Type::q5_k, Type::q6_k};

inline std::string name_of(Type type) {
  constexpr const char* kNames[] = {"f32",  "f16",  "bf16", "f8",   "int4", "q8_0", "q4_0",
                                    "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"};
  return kNames[size_t(type)];
}

// How a matrix scales its values, for the types that leave a choice.
struct Layout {
  int group = kGroup;  // int4
  bool zeros = false;  // int4
  int block = 0;       // f8
  bool bias = false;
};

// A matrix and the memory that it points into.
struct Weights {
  std::vector<uint8_t> data, zeros;
  std::vector<uint16_t> half_scales;
  std::vector<float> float_scales, bias;
  Matrix matrix;

  Weights(Type type, int rows, int cols, uint32_t seed, Layout layout = {}) : random_(seed) {
    data.resize(size_t(rows) * size_t(row_bytes(type, cols)));
    matrix = {type, rows, cols, data.data()};
    matrix.group = layout.group;
    matrix.block = layout.block;
    fill(type);
    if (type == Type::int4) {
      half_scales.resize(size_t(rows) * size_t(cols / layout.group));
      for (uint16_t& scale : half_scales) scale = half(9, 12);
      matrix.scales = half_scales.data();
    }
    if (type == Type::int4 && layout.zeros) {
      zeros.resize(half_scales.size());
      for (uint8_t& zero : zeros) zero = uint8_t(random_() & 15);
      matrix.zeros = zeros.data();
    }
    if (type == Type::f8) {
      const auto blocks = [&](int size) {
        return size_t((size + layout.block - 1) / layout.block);
      };
      float_scales.resize(layout.block == 0 ? size_t(rows) : blocks(rows) * blocks(cols));
      for (float& scale : float_scales) scale = 0.01f + std::abs(uniform_(random_));
      matrix.scales = float_scales.data();
    }
    if (layout.bias) {
      bias.resize(size_t(rows));
      for (float& value : bias) value = uniform_(random_);
      matrix.bias = bias.data();
    }
  }
  Weights(const Weights&) = delete;
  Weights(Weights&&) = default;

  // Every byte of GGUF's blocks and of int4 becomes `bits`, but for the blocks' float16s: a power
  // of two.
  void fill_blocks(uint8_t bits) {
    const Type type = matrix.type;
    const size_t bytes = size_t(row_bytes(type, block_cols(type)));
    for (size_t at = 0; at < data.size(); at++) {
      const bool half =
          type != Type::int4 && (type == Type::q6_k ? at % bytes >= 208 : at % bytes < 4);
      data[at] = half ? uint8_t(at % 2 == 0 ? 0 : 0x2c) : bits;
    }
  }

 private:
  // float16 of either sign from 2^(least - 15) on, up to 2^(most - 14).
  uint16_t half(unsigned least, unsigned most) {
    return uint16_t((random_() & 0x83ff) | (least + random_() % (most - least + 1)) << 10);
  }

  template <typename Value>
  void put(size_t at, Value value) {
    std::memcpy(data.data() + at, &value, sizeof value);
  }

  void fill(Type type) {
    for (size_t i = 0; i < data.size(); i++) data[i] = uint8_t(random_());
    if (block_cols(type) > 1) return scale_blocks(type);
    for (size_t i = 0; i < data.size(); i++) {
      if (type == Type::f32 && i % 4 == 0) put(i, uniform_(random_));
      if (type == Type::f16 && i % 2 == 0) put(i, half(0, 15));  // up to 2, subnormals too
      if (type == Type::bf16 && i % 2 == 0) put(i, float_to_bf16(uniform_(random_)));
      if (type == Type::f8 && (data[i] & 127) == 127) data[i] = 0;
    }
  }

  // GGUF's blocks have random bits but for their float16s, which lie at these bytes.
  void scale_blocks(Type type) {
    const size_t bytes = size_t(row_bytes(type, block_cols(type)));
    for (size_t at = 0; at < data.size(); at += bytes) {
      if (type == Type::int4) continue;
      // Super-blocks multiply by a second scale of 6 or 8 bits.
      const bool super = block_cols(type) == kSuperBlock;
      const unsigned least = super ? 3 : 9;
      put(at + (type == Type::q6_k ? 208 : 0), half(least, least + 3));
      const bool minimum =
          type == Type::q4_1 || type == Type::q5_1 || type == Type::q4_k || type == Type::q5_k;
      if (minimum) put(at + 2, half(least, least + 3));
    }
  }

  std::mt19937 random_;
  std::uniform_real_distribution<float> uniform_{-1.0f, 1.0f};
};

}  // namespace ringside
