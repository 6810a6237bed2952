// The language that the kernels are written in: CUDA C++, and where that differs between CUDA, HIP
// and the emulator (emulator.h), these names. Everything here is a warp of 32 threads, all of which
// call it together.
//
// What a kernel may use beside them: __global__, __device__, __shared__, __launch_bounds__,
// threadIdx, blockIdx, blockDim, gridDim, __syncthreads(), atomicAdd(), atomicMax(),
// __threadfence(), the vector types float2/float4/uint2/uint4, and C's math functions for floats.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "queue.h"

// Tensor-core instructions: sm_80 and later, and the emulator. Launchers ask Queue::has_mma()
// first.
#if defined(__HIP__)
#define RINGSIDE_MMA 0
#else
#define RINGSIDE_MMA 1
#endif

// Before a loop over an array that is to lie in registers; and before one whose turns, done at
// once, would need too many registers.
#if defined(RINGSIDE_EMULATED)
#define RINGSIDE_UNROLL
#define RINGSIDE_ONE_BY_ONE
#else
#define RINGSIDE_UNROLL _Pragma("unroll")
#define RINGSIDE_ONE_BY_ONE _Pragma("unroll 1")
#endif

namespace ringside {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

#if !defined(RINGSIDE_EMULATED)

#if defined(__HIP__)
template <typename T>
__device__ inline T shuffle_xor(T value, int mask) {
  return __shfl_xor(value, mask, kWarp);
}
template <typename T>
__device__ inline T shuffle(T value, int lane) {
  return __shfl(value, lane, kWarp);
}
template <typename T>
__device__ inline T shuffle_up(T value, int delta) {
  return __shfl_up(value, delta, kWarp);
}
__device__ inline void sync_warp() { __builtin_amdgcn_wave_barrier(); }
__device__ inline unsigned ballot(bool vote) {
  return unsigned(__ballot(vote) >> (threadIdx.x & 32));  // of the wave's half that asks
}
#else
// The value of the lane whose number differs in the bits of `mask`.
template <typename T>
__device__ inline T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}
// The value of `lane`.
template <typename T>
__device__ inline T shuffle(T value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}
// The value of the lane `delta` before; the first `delta` lanes keep theirs.
template <typename T>
__device__ inline T shuffle_up(T value, int delta) {
  return __shfl_up_sync(kAllLanes, value, delta);
}
__device__ inline void sync_warp() { __syncwarp(); }
// A bit for each lane whose `vote` is true.
__device__ inline unsigned ballot(bool vote) { return __ballot_sync(kAllLanes, vote); }
#endif

// Of a ballot with any vote.
__device__ inline int first_lane(unsigned lanes) { return __ffs(int(lanes)) - 1; }

// The block's dynamic shared memory, aligned to 16 bytes: as much as its launch asked for.
template <typename T>
__device__ inline T* shared_memory() {
  extern __shared__ __align__(16) unsigned char ringside_shared[];
  return reinterpret_cast<T*>(ringside_shared);
}

// sum + the dot product of four int8 with four int8.
__device__ inline int dot_s8(uint32_t a, uint32_t b, int sum) {
#if defined(__HIP__)
  for (int i = 0; i < 4; i++) sum += int(int8_t(a >> (8 * i))) * int(int8_t(b >> (8 * i)));
  return sum;
#else
  return __dp4a(int(a), int(b), sum);
#endif
}

// IEEE binary16 to float, and back: to the nearest, ties to even.
__device__ inline float half_bits_to_float(uint16_t bits) {
#if defined(__HIP__)
  _Float16 half;
  __builtin_memcpy(&half, &bits, sizeof half);
  return float(half);
#else
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
#endif
}
__device__ inline uint16_t float_to_half_bits(float value) {
  uint16_t bits;
#if defined(__HIP__)
  const _Float16 half = _Float16(value);
  __builtin_memcpy(&bits, &half, sizeof bits);
#else
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#endif
  return bits;
}

__device__ inline float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
__device__ inline uint32_t float_to_bits(float value) { return __float_as_uint(value); }

// 16 bytes from device memory to shared memory, both aligned to 16, in the background (sm_80 and
// later; before, at once). `valid` false: zeros. Then commit_copies() closes a group of copies, and
// wait_copies<N>() waits until at most N groups of this thread are under way; other threads' copies
// are there after the __syncthreads() that follows.
__device__ inline void copy_async16(void* shared, const void* global, bool valid = true) {
#if !defined(__HIP__) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const unsigned address = unsigned(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
               "r"(bytes)
               : "memory");
#else
  *static_cast<uint4*>(shared) =
      valid ? *static_cast<const uint4*>(global) : make_uint4(0u, 0u, 0u, 0u);
#endif
}
__device__ inline void commit_copies() {
#if !defined(__HIP__) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int kPending>
__device__ inline void wait_copies() {
#if !defined(__HIP__) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// 16 bytes that are read once: not kept in the first cache.
__device__ inline uint4 load_streaming(const void* address) {
#if defined(__HIP__)
  return *static_cast<const uint4*>(address);
#else
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(address));
  return value;
#endif
}

#if RINGSIDE_MMA
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define RINGSIDE_MMA_HERE 1
#else
#define RINGSIDE_MMA_HERE 0  // compiled for sm_75 too, and never launched there
#endif

// d += a b, fragments as PTX ISA lays them out ("Matrix Fragments for mma.m16n8k*"). With g = lane
// / 4 and t = lane % 4, d holds rows g, g, g+8, g+8 and columns 2t, 2t+1, 2t, 2t+1.

// a [16, 32] int8: a[0..3] are rows g, g+8, g, g+8 with columns 4t..4t+3, the last two plus 16.
// b [32, 8]: b[0], b[1] are column g with rows 4t..4t+3, and plus 16.
__device__ inline void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if RINGSIDE_MMA_HERE
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

// a [16, 16] bfloat16, two a register, the lower column in the lower half: rows g, g+8, g, g+8 with
// columns 2t, 2t+1, the last two plus 8. b [16, 8]: column g with rows 2t, 2t+1, and plus 8.
__device__ inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if RINGSIDE_MMA_HERE
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

// a [16, 8] TF32 (floats whose low 13 bits are ignored): rows g, g+8, g, g+8 with column t, the
// last two plus 4. b [8, 8]: column g with row t, and plus 4.
__device__ inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if RINGSIDE_MMA_HERE
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

// Four 8 x 8 matrices of 16-bit values from shared memory: the lanes 8i .. 8i+7 give the addresses
// (aligned to 16) of the rows of matrix i. r[i] of a lane: row lane / 4, columns 2 (lane % 4) and
// the next. A row is 16 bytes of anything: of int8, columns 4 (lane % 4) .. + 3.
__device__ inline void load_matrices(uint32_t (&r)[4], const void* row) {
#if RINGSIDE_MMA_HERE
  const unsigned address = unsigned(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
#else
  __trap();
#endif
}

// The same, each matrix transposed: r[i] of a lane: column lane / 4, rows 2 (lane % 4) and the
// next.
__device__ inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
#if RINGSIDE_MMA_HERE
  const unsigned address = unsigned(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
#else
  __trap();
#endif
}
#endif  // RINGSIDE_MMA
#endif  // RINGSIDE_EMULATED

__device__ inline int lane_of() { return int(threadIdx.x) % kWarp; }
__device__ inline int warp_of() { return int(threadIdx.x) / kWarp; }

__device__ inline float bf16_bits_to_float(uint16_t bits) {
  return bits_to_float(uint32_t(bits) << 16);
}

// Rounds to the nearest, ties to even. A NaN stays one: the one that GPUs make, 0x7fffffff, would
// be rounded to -0.
__device__ inline uint16_t float_to_bf16_bits(float x) {
  const uint32_t bits = float_to_bits(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// OCP FP8 E4M3 to float, exact. 0x7f and 0xff are NaN. A product with 2^120 puts the exponent
// right, and subnormals too.
__device__ inline float f8_bits_to_float(uint8_t bits) {
  const uint32_t magnitude = bits & 0x7fu;
  const float value = bits_to_float(magnitude << 20) * 0x1p120f;
  const uint32_t sign = uint32_t(bits & 0x80u) << 24;
  return bits_to_float((magnitude == 0x7fu ? 0x7fc00000u : float_to_bits(value)) | sign);
}

__device__ inline float warp_sum(float value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

__device__ inline float warp_max(float value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
  return value;
}

// Of all kThreads threads of a block, given to each. `kThreads` is a multiple of 32, at most 1024.
template <int kThreads>
__device__ inline float block_sum(float value) {
  __shared__ float parts[kWarp];
  value = warp_sum(value);
  __syncthreads();  // the values of a sum before this one have been read
  if (lane_of() == 0) parts[warp_of()] = value;
  __syncthreads();
  return warp_sum(lane_of() < kThreads / kWarp ? parts[lane_of()] : 0.0f);
}

}  // namespace ringside
