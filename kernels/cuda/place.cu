// Weights on their way to the device: uploaded as the file has them, piece by piece, and dealt out
// to the planes of format.h there.
#include <algorithm>

#include "device.h"
#include "format.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kThreads = 128;

// Value i of 32, unsigned, of group j of a block as the file has it (dequantize.cpp says how).
__device__ int value_of(Type type, const uint8_t* block, int j, int i) {
  const auto nibble = [&](int at) { return block[at + i % 16] >> (i / 16 * 4) & 15; };
  const auto fifth = [&](int at) { return (block[at + i / 8] >> (i % 8) & 1) << 4; };
  switch (type) {
    case Type::int4:
      return block[i / 2] >> (i % 2 * 4) & 15;
    case Type::q8_0:
      return block[2 + i];
    case Type::q4_0:
      return nibble(2);
    case Type::q4_1:
      return nibble(4);
    case Type::q5_0:
      return nibble(6) | fifth(2);
    case Type::q5_1:
      return nibble(8) | fifth(4);
    case Type::q4_k:
      return block[16 + j / 2 * 32 + i] >> (j % 2 * 4) & 15;
    case Type::q5_k:
      return (block[48 + j / 2 * 32 + i] >> (j % 2 * 4) & 15) | (block[16 + i] >> j & 1) << 4;
    default: {
      const int half = j / 4, run = j % 4;
      const int low = block[half * 64 + run % 2 * 32 + i] >> (run / 2 * 4) & 15;
      return low | (block[128 + half * 32 + i] >> (run * 2) & 3) << 4;
    }
  }
}

// The scale (12 bytes of q4_k and q5_k from `bytes` on) of group j of a super-block, and above it
// the minimum, six bits each.
__device__ uint32_t six_of(const uint8_t* bytes, int j) {
  if (j < 4) return uint32_t(bytes[j] & 63) | uint32_t(bytes[j + 4] & 63) << 6;
  const uint32_t scale = uint32_t(bytes[j + 4] & 15) | uint32_t(bytes[j - 4] >> 6) << 4;
  const uint32_t minimum = uint32_t(bytes[j + 4] >> 4) | uint32_t(bytes[j] >> 6) << 4;
  return scale | minimum << 6;
}

__device__ uint32_t half_of(const uint8_t* bytes) { return bytes[0] | uint32_t(bytes[1]) << 8; }

// Group `to` of the matrix, which is group j of `block`, into the planes of quants.
__device__ void place_quants(const Matrix& w, const uint8_t* block, int j, int64_t to) {
  uint32_t words[8] = {}, upper[2] = {};
  for (int i = 0; i < kGroup; i++) {
    const uint32_t value = uint32_t(value_of(w.type, block, j, i));
    const int k = i / 4, shift = i % 4 * 8;
    if (w.type == Type::q8_0) {
      words[k] |= value << shift;
      continue;
    }
    words[k % 4] |= (value & 15) << (shift + k / 4 * 4);
    if (w.type == Type::q6_k) {
      upper[k / 4] |= (value >> 4) << (shift + k % 4 * 2);
    } else {
      upper[0] |= (value >> 4) << (shift + k);
    }
  }
  auto* data = static_cast<uint8_t*>(const_cast<void*>(w.data));
  auto* quants = reinterpret_cast<uint4*>(data + to * quant_bytes(w.type));
  quants[0] = make_uint4(words[0], words[1], words[2], words[3]);
  if (w.type == Type::q8_0) quants[1] = make_uint4(words[4], words[5], words[6], words[7]);
  const int bytes = upper_bytes(w.type);
  const int64_t plane = padded(int64_t(w.rows) * (w.cols / kGroup) * 16);
  auto* behind = reinterpret_cast<uint32_t*>(data + plane + to * bytes);
  if (bytes >= 4) behind[0] = upper[0];
  if (bytes == 8) behind[1] = upper[1];
}

__device__ void place_scales(const Matrix& w, const uint8_t* block, int j, int64_t to) {
  auto* scales = static_cast<uint8_t*>(const_cast<void*>(w.scales));
  const int64_t groups = int64_t(w.rows) * (w.cols / kGroup);
  if (w.type == Type::q6_k) {
    scales[2 * to] = block[192 + 2 * j];
    scales[2 * to + 1] = block[192 + 2 * j + 1];
    auto* halves = reinterpret_cast<uint16_t*>(scales + padded(groups * 2));
    if (j == 0) halves[to / 8] = uint16_t(half_of(block + 208));
  } else if (is_super(w.type)) {
    uint4 packed = make_uint4(half_of(block) | half_of(block + 2) << 16, 0, 0, 0);
    for (int i = 0; i < 8; i++) {
      const uint32_t six = six_of(block + 4, i);
      packed.y |= (six & 15) << (4 * i);
      packed.z |= (six >> 6 & 15) << (4 * i);
      packed.w |= ((six >> 4 & 3) | (six >> 10 & 3) << 2) << (4 * i);
    }
    if (j == 0) reinterpret_cast<uint4*>(scales)[to / 8] = packed;
  } else if (w.type == Type::q4_1 || w.type == Type::q5_1) {
    reinterpret_cast<uint32_t*>(scales)[to] = half_of(block) | half_of(block + 2) << 16;
  } else if (w.type != Type::int4) {
    reinterpret_cast<uint16_t*>(scales)[to] = uint16_t(half_of(block));
  }
}

// A thread deals out one group. The blocks' odd sizes make it read bytes; it runs once, and waits
// for the bus to the host in any case.
__global__ void __launch_bounds__(kThreads)
    place_kernel(Matrix w, const uint8_t* blocks, int block_bytes, int64_t first, int64_t count) {
  const int64_t g = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= count) return;
  const int per = is_super(w.type) ? kSuperBlock / kGroup : 1;
  const uint8_t* block = blocks + g / per * block_bytes;
  place_quants(w, block, int(g % per), first + g);
  place_scales(w, block, int(g % per), first + g);
}

void place_blocks(Device& device, const Matrix& w, const void* host, void* staging,
                  size_t staging_bytes) {
  const int cols = block_cols(w.type), bytes = int(row_bytes(w.type, cols)), per = cols / kGroup;
  const int64_t blocks = int64_t(w.rows) * (w.cols / cols);
  const int64_t most = int64_t(staging_bytes) / bytes;  // a piece
  if (blocks > 0 && most == 0) throw DeviceError("The staging memory has no room for a block.");
  for (int64_t at = 0; at < blocks; at += most) {
    const int64_t count = std::min(most, blocks - at);
    device.upload(staging, static_cast<const uint8_t*>(host) + at * bytes, size_t(count * bytes));
    launch(device.queue(), "place", place_kernel,
           {(count * per + kThreads - 1) / kThreads, 1, 1, kThreads, 0}, w,
           static_cast<const uint8_t*>(staging), bytes, at * per, count * per);
  }
}

// Scales that the file holds apart from the values: float16 of int4, float of f8.
int64_t loose_scales(const Matrix& w) {
  if (w.type == Type::int4) return int64_t(w.rows) * (w.cols / w.group);
  if (w.type != Type::f8) return 0;
  const auto blocks = [&](int64_t size) { return (size + w.block - 1) / w.block; };
  return w.block == 0 ? w.rows : blocks(w.rows) * blocks(w.cols);
}
int64_t loose_scale_bytes(const Matrix& w) {
  return loose_scales(w) * (w.type == Type::int4 ? 2 : 4);
}

// Bytes of the planes, padded.
struct Sizes {
  int64_t data, scales, zeros, bias;

  explicit Sizes(const Matrix& w) {
    const int64_t rows = w.rows, groups = rows * (w.cols / kGroup);
    scales = padded(loose_scale_bytes(w));
    zeros = w.zeros != nullptr ? padded(loose_scales(w)) : 0;
    bias = w.bias != nullptr ? padded(rows * int64_t(sizeof(float))) : 0;
    if (!is_integer(w.type)) {
      data = padded(rows * row_bytes(w.type, w.cols));
      return;
    }
    data = padded(groups * quant_bytes(w.type)) + padded(groups * upper_bytes(w.type));
    if (w.type == Type::q6_k) {
      scales = padded(groups * 2) + padded(groups / 8 * 2);
    } else if (is_super(w.type)) {
      scales = padded(groups / 8 * 16);
    } else if (w.type != Type::int4) {
      scales = padded(groups * (w.type == Type::q4_1 || w.type == Type::q5_1 ? 4 : 2));
    }
  }
};

}  // namespace

size_t placed_bytes(const Matrix& host) {
  const Sizes sizes(host);
  return size_t(sizes.data + sizes.scales + sizes.zeros + sizes.bias);
}

Matrix place(Device& device, const Matrix& host, void* memory, void* staging,
             size_t staging_bytes) {
  const Sizes sizes(host);
  auto* data = static_cast<uint8_t*>(memory);
  uint8_t *scales = data + sizes.data, *zeros = scales + sizes.scales, *bias = zeros + sizes.zeros;
  Matrix w = host;
  w.data = data;
  w.scales = sizes.scales > 0 ? scales : nullptr;
  w.zeros = sizes.zeros > 0 ? zeros : nullptr;
  w.bias = sizes.bias > 0 ? reinterpret_cast<const float*>(bias) : nullptr;
  if (is_integer(host.type)) {
    place_blocks(device, w, host.data, staging, staging_bytes);
  } else {
    device.upload(data, host.data, size_t(host.rows * row_bytes(host.type, host.cols)));
  }
  const int64_t scale_bytes = loose_scale_bytes(host);
  if (scale_bytes > 0) device.upload(scales, host.scales, size_t(scale_bytes));
  if (w.zeros != nullptr) device.upload(zeros, host.zeros, size_t(loose_scales(host)));
  if (w.bias != nullptr) device.upload(bias, host.bias, size_t(host.rows) * 4);
  return w;
}

}  // namespace ringside::cuda
