// How numbers are stored. Apart from backend.h for the sake of cpu/dot_*.cpp, whose instruction
// sets no inline function of a library header may be compiled for.
#pragma once

#include <stdint.h>

namespace ringside {

// How a weight matrix is stored. The activations that meet it are rounded as well, the same way in
// every backend, because that is part of what the operation computes:
//   int4  -> x in int8, groups of 32 along cols, scale = max|x| / 127; integer sums within a group
//   f8    -> x in bfloat16 (every E4M3 value is exact in bfloat16)
//   bf16  -> x in bfloat16
//   f16, f32 -> x in float
//   q8_0 .. q6_k (the block formats of GGUF) -> as int4
enum class Type : uint8_t {
  f32,
  f16,
  bf16,
  f8,
  int4,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k
};

constexpr int kGroup = 32;        // columns that share a scale in int8 activations
constexpr int kSuperBlock = 256;  // columns of a block of q4_k, q5_k and q6_k

}  // namespace ringside
