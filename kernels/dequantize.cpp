#include "dequantize.h"

#include <algorithm>

#include "quant.h"

namespace ringside {
namespace {

// The block formats of GGUF, little-endian. d and m are float16. Where a byte holds two values they
// are never neighbours: the low halves of a run of bytes come first, then the high halves.

float half_at(const uint8_t* bytes) { return f16_to_float(uint16_t(bytes[0] | bytes[1] << 8)); }

// Bit `i` of little-endian `bytes`.
int bit_at(const uint8_t* bytes, int i) { return bytes[i / 8] >> (i % 8) & 1; }

// Value `i` of a block of 32 that is packed in 16 bytes.
int nibble_at(const uint8_t* bytes, int i) { return bytes[i % 16] >> (i / 16 * 4) & 15; }

// d, then 32 int8: q d.
void q8_0(float* y, const uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < 32; i++) y[i] = float(int8_t(block[2 + i])) * d;
}

// d, then 16 bytes: (q - 8) d.
void q4_0(float* y, const uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < 32; i++) y[i] = float(nibble_at(block + 2, i) - 8) * d;
}

// d, m, then 16 bytes: q d + m.
void q4_1(float* y, const uint8_t* block) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int i = 0; i < 32; i++) y[i] = float(nibble_at(block + 4, i)) * d + m;
}

// d, the fifth bits of all 32, then 16 bytes: (q - 16) d.
void q5_0(float* y, const uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < 32; i++)
    y[i] = float((nibble_at(block + 6, i) | bit_at(block + 2, i) << 4) - 16) * d;
}

// d, m, the fifth bits of all 32, then 16 bytes: q d + m.
void q5_1(float* y, const uint8_t* block) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int i = 0; i < 32; i++)
    y[i] = float(nibble_at(block + 8, i) | bit_at(block + 4, i) << 4) * d + m;
}

// Six bits each: the scale and the minimum of sub-block j of 8, from the 12 bytes of q4_k and q5_k.
// Bytes 0-3 and 4-7 hold those of sub-blocks 0-3 and, above them, the upper two bits of 4-7; bytes
// 8-11 hold the lower four bits of 4-7, scale below minimum.
struct Six {
  int scale, minimum;
};
Six six_at(const uint8_t* bytes, int j) {
  if (j < 4) return {bytes[j] & 63, bytes[j + 4] & 63};
  return {(bytes[j + 4] & 15) | bytes[j - 4] >> 6 << 4, bytes[j + 4] >> 4 | bytes[j] >> 6 << 4};
}

// d, dmin, 12 bytes of scales and minima, q5_k: the fifth bits, then 128 bytes: q d scale - dmin
// minimum. A run of 32 bytes holds two sub-blocks; bit j of byte i of the fifth bits is of value i
// of sub-block j.
void q45_k(float* y, const uint8_t* block, bool fifth) {
  const float d = half_at(block), dmin = half_at(block + 2);
  const uint8_t *high = block + 16, *low = fifth ? high + 32 : high;
  for (int j = 0; j < 8; j++) {
    const Six six = six_at(block + 4, j);
    const float scale = d * float(six.scale), minimum = dmin * float(six.minimum);
    for (int i = 0; i < 32; i++) {
      int q = low[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
      if (fifth) q |= (high[i] >> j & 1) << 4;
      y[j * 32 + i] = scale * float(q) - minimum;
    }
  }
}

// 128 bytes of lower four bits, 64 of upper two, 16 int8 scales, d: (q - 32) d scale. Each half of
// the block has its own 64 and 32 bytes: its four runs of 32 values take the low halves of the 64,
// then the high halves; and bits 0-1, 2-3, 4-5, 6-7 of the 32.
void q6_k(float* y, const uint8_t* block) {
  const float d = half_at(block + 208);
  for (int i = 0; i < kSuperBlock; i++) {
    const int half = i / 128, run = i / 32 % 4, at = i % 32;
    const int low = block[half * 64 + run % 2 * 32 + at] >> (run / 2 * 4) & 15;
    const int high = block[128 + half * 32 + at] >> (run * 2) & 3;
    y[i] = d * float(int8_t(block[192 + i / 16])) * float((low | high << 4) - 32);
  }
}

void dequantize_block(float* y, Type type, const uint8_t* block) {
  switch (type) {
    case Type::q8_0:
      return q8_0(y, block);
    case Type::q4_0:
      return q4_0(y, block);
    case Type::q4_1:
      return q4_1(y, block);
    case Type::q5_0:
      return q5_0(y, block);
    case Type::q5_1:
      return q5_1(y, block);
    case Type::q4_k:
      return q45_k(y, block, false);
    case Type::q5_k:
      return q45_k(y, block, true);
    default:
      return q6_k(y, block);
  }
}

struct Layout {
  int cols, bytes;  // of a block
};
Layout layout_of(Type type) {
  switch (type) {
    case Type::f32:
      return {1, 4};
    case Type::f16:
    case Type::bf16:
      return {1, 2};
    case Type::f8:
      return {1, 1};
    case Type::int4:
      return {32, 16};
    case Type::q8_0:
      return {32, 34};
    case Type::q4_0:
      return {32, 18};
    case Type::q4_1:
      return {32, 20};
    case Type::q5_0:
      return {32, 22};
    case Type::q5_1:
      return {32, 24};
    case Type::q4_k:
      return {kSuperBlock, 144};
    case Type::q5_k:
      return {kSuperBlock, 176};
    case Type::q6_k:
      return {kSuperBlock, 210};
  }
  return {1, 0};
}

}  // namespace

int64_t row_bytes(Type type, int cols) {
  const Layout layout = layout_of(type);
  return int64_t(cols / layout.cols) * layout.bytes;
}

int block_cols(Type type) { return layout_of(type).cols; }

void dequantize_row(float* y, const Matrix& w, int row) {
  const int cols = w.cols;
  const uint8_t* data = static_cast<const uint8_t*>(w.data) + row * row_bytes(w.type, cols);
  const auto* halves = reinterpret_cast<const uint16_t*>(data);
  switch (w.type) {
    case Type::f32:
      std::copy_n(reinterpret_cast<const float*>(data), cols, y);
      break;
    case Type::f16:
      for (int c = 0; c < cols; c++) y[c] = f16_to_float(halves[c]);
      break;
    case Type::bf16:
      for (int c = 0; c < cols; c++) y[c] = bf16_to_float(halves[c]);
      break;
    case Type::f8: {
      const int block = w.block > 0 ? w.block : cols, across = (cols + block - 1) / block;
      const float* scales =
          static_cast<const float*>(w.scales) + int64_t(w.block > 0 ? row / block : row) * across;
      for (int c = 0; c < cols; c++) y[c] = f8_to_float(data[c]) * scales[c / block];
      break;
    }
    case Type::int4: {
      const int64_t first = int64_t(row) * (cols / w.group);
      for (int c = 0; c < cols; c++) {
        const int64_t at = first + c / w.group;
        const int zero = w.zeros != nullptr ? w.zeros[at] : 8;
        y[c] = float(nibble_of(data, c) - zero) *
               f16_to_float(static_cast<const uint16_t*>(w.scales)[at]);
      }
      break;
    }
    default: {
      const Layout layout = layout_of(w.type);
      for (int c = 0; c < cols; c += layout.cols, data += layout.bytes)
        dequantize_block(y + c, w.type, data);
    }
  }
}

}  // namespace ringside
