// CUDA C++ on the host, for tests: a grid runs block by block, a block's threads as fibers that
// really wait for each other at barriers and in collectives, with shared memory of exactly the size
// asked for. Under AddressSanitizer every access is checked, as it would be in compute-sanitizer.
//
// What a GPU leaves open is used against the kernel: the threads of a block run in an order that
// changes (set_order), shared memory is full of NaN, and asynchronous copies happen when they are
// waited for and no sooner. A barrier that not all threads reach ends the program and names the
// kernel.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static  // one block runs at a time
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace ringside::emulator {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

// Of the thread that runs.
extern Index thread_index, block_index, block_size, grid_size;

// How the threads of a block take turns: 0 ascending, 1 descending, others shuffled by that seed.
void set_order(unsigned order);

// `body` is the kernel with its arguments. `threads` a block, at most 1024.
void run(const char* name, int64_t x, int64_t y, int64_t z, int threads, size_t shared,
         const std::function<void()>& body);

void* dynamic_shared();
void barrier();
// The warp's lanes have each put `size` bytes; the caller gets all 32 in order, until its next
// exchange. Lanes that have returned put nothing.
const unsigned char* exchange(const void* value, size_t size);
void begin_copy(void* shared, const void* global, bool valid);
void commit_copies();
void wait_copies(int pending);

constexpr size_t kMaxExchange = 32;  // bytes

}  // namespace ringside::emulator

#define threadIdx (::ringside::emulator::thread_index)
#define blockIdx (::ringside::emulator::block_index)
#define blockDim (::ringside::emulator::block_size)
#define gridDim (::ringside::emulator::grid_size)
#define __syncthreads() (::ringside::emulator::barrier())

// Blocks and threads run one at a time, so plain operations are atomic.
template <typename T, typename V>
T atomicAdd(T* address, V value) {
  const T before = *address;
  *address = T(before + T(value));
  return before;
}
template <typename T, typename V>
T atomicMax(T* address, V value) {
  const T before = *address;
  if (T(value) > before) *address = T(value);
  return before;
}
inline void __threadfence() {}

namespace ringside {

// A lane of another warp can't be asked, so every one has 32.
template <typename T>
T shuffle(T value, int lane) {
  T result;
  memcpy(&result, emulator::exchange(&value, sizeof value) + size_t(lane & 31) * sizeof value,
         sizeof value);
  return result;
}
template <typename T>
T shuffle_xor(T value, int mask) {
  return shuffle(value, int(threadIdx.x & 31) ^ mask);
}
template <typename T>
T shuffle_up(T value, int delta) {
  const int lane = int(threadIdx.x & 31);
  return shuffle(value, lane < delta ? lane : lane - delta);
}
inline void sync_warp() { shuffle(0, 0); }
inline unsigned ballot(bool vote) {
  const unsigned char mine = vote ? 1 : 0;
  const unsigned char* votes = emulator::exchange(&mine, 1);
  unsigned bits = 0;
  for (unsigned i = 0; i < 32; i++) bits |= unsigned(votes[i]) << i;
  return bits;
}

inline int first_lane(unsigned lanes) { return __builtin_ctz(lanes); }

template <typename T>
T* shared_memory() {
  return static_cast<T*>(emulator::dynamic_shared());
}

inline int dot_s8(uint32_t a, uint32_t b, int sum) {
  for (int i = 0; i < 4; i++) sum += int(int8_t(a >> (8 * i))) * int(int8_t(b >> (8 * i)));
  return sum;
}

inline float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float half_bits_to_float(uint16_t bits) {
  const uint32_t exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const uint32_t sign = uint32_t(bits & 0x8000) << 16;
  if (exponent == 0) return bits_to_float(float_to_bits(float(fraction) * 0x1p-24f) | sign);
  return bits_to_float(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13);
}

// An infinity for what rounds beyond the largest.
inline uint16_t float_to_half_bits(float value) {
  const uint32_t all = float_to_bits(value), sign = all >> 16 & 0x8000, bits = all & 0x7fffffff;
  if (bits > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (bits >= 0x477ff000) return uint16_t(sign | 0x7c00);
  // Below 2^-14 values are multiples of 2^-24; the sum with 1/2 rounds to those.
  if (bits < 0x38800000)
    return uint16_t(sign | (float_to_bits(bits_to_float(bits) + 0.5f) & 0x7ff));
  return uint16_t(sign | (((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112 << 10)));
}

inline void copy_async16(void* shared, const void* global, bool valid = true) {
  emulator::begin_copy(shared, global, valid);
}
inline void commit_copies() { emulator::commit_copies(); }
template <int kPending>
void wait_copies() {
  emulator::wait_copies(kPending);
}

inline uint4 load_streaming(const void* address) {
  if (reinterpret_cast<uintptr_t>(address) % 16 != 0) __builtin_trap();  // as the device would
  return *static_cast<const uint4*>(address);
}

// Fragments: see gpu.h and PTX ISA.
void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void load_matrices(uint32_t (&r)[4], const void* row);
void load_matrices_transposed(uint32_t (&r)[4], const void* row);

}  // namespace ringside
