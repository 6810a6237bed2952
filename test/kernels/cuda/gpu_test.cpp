// The words of gpu.h mean the same on a device and on the emulator: what CUDA's manual and the PTX
// ISA say of them.
#include "gpu.h"

#include <cmath>
#include <vector>

#include "device.h"
#include "support.h"

namespace ringside {
namespace {

// A device array, and what is in it when it is asked for.
template <typename T>
struct Array {
  Array(Device& device, const std::vector<T>& host) : device(device), size(host.size()) {
    data = device.allocate_array<T>(size);
    device.upload(data, host.data(), size * sizeof(T));
  }
  ~Array() { device.release(data); }
  Array(const Array&) = delete;  // owns memory
  std::vector<T> back() const {
    std::vector<T> host(size);
    device.download(host.data(), data, size * sizeof(T));
    return host;
  }

  Device& device;
  size_t size;
  T* data;
};

#if RINGSIDE_MMA
// d [16, 8] = a [16, 32] b^T, b [8, 32], one warp; fragments from memory as gpu.h says they lie.
__global__ void integers_kernel(int* d, const int8_t* a, const int8_t* b) {
  const int g = lane_of() / 4, t = lane_of() % 4;
  const auto word = [](const int8_t* at) { return *reinterpret_cast<const uint32_t*>(at); };
  const uint32_t left[4] = {word(a + g * 32 + 4 * t), word(a + (g + 8) * 32 + 4 * t),
                            word(a + g * 32 + 4 * t + 16), word(a + (g + 8) * 32 + 4 * t + 16)};
  const uint32_t right[2] = {word(b + g * 32 + 4 * t), word(b + g * 32 + 4 * t + 16)};
  int sum[4] = {};
  mma_s8(sum, left, right);
  for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// The same of bfloat16, a [16, 16], b [8, 16], with a from shared memory by load_matrices and b by
// load_matrices_transposed of its transpose [16, 8].
__global__ void bf16_kernel(float* d, const uint16_t* a, const uint16_t* b_transposed) {
  auto* rows = shared_memory<uint16_t>();  // a [16, 16], then b [16, 8]
  for (int i = lane_of(); i < 256; i += kWarp) rows[i] = a[i];
  for (int i = lane_of(); i < 128; i += kWarp) rows[256 + i] = b_transposed[i];
  sync_warp();
  const int g = lane_of() / 4, t = lane_of() % 4, matrix = lane_of() / 8, row = lane_of() % 8;
  uint32_t left[4], pair[4];
  load_matrices(left, rows + (row + matrix % 2 * 8) * 16 + matrix / 2 * 8);
  load_matrices_transposed(pair, rows + 256 + (row + matrix % 2 * 8) * 8);
  const uint32_t right[2] = {pair[0], pair[1]};
  float sum[4] = {};
  mma_bf16(sum, left, right);
  for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// The same of TF32, a [16, 8], b [8, 8] as columns.
__global__ void tf32_kernel(float* d, const float* a, const float* b) {
  const int g = lane_of() / 4, t = lane_of() % 4;
  const auto bits = [](float value) { return float_to_bits(value); };
  const uint32_t left[4] = {bits(a[g * 8 + t]), bits(a[(g + 8) * 8 + t]), bits(a[g * 8 + t + 4]),
                            bits(a[(g + 8) * 8 + t + 4])};
  const uint32_t right[2] = {bits(b[g * 8 + t]), bits(b[g * 8 + t + 4])};
  float sum[4] = {};
  mma_tf32(sum, left, right);
  for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

TEST_CASE("fragments lie as the PTX ISA says") {
  Device device(0);
  if (!device.queue().has_mma()) return;
  std::mt19937 random(1);
  std::vector<int8_t> a(16 * 32), b(8 * 32);
  for (int8_t& value : a) value = int8_t(random());
  for (int8_t& value : b) value = int8_t(random());
  const Array<int8_t> left(device, a), right(device, b);
  const Array<int> sums(device, std::vector<int>(16 * 8, -1));
  launch(device.queue(), "integers", integers_kernel, {}, sums.data, left.data, right.data);
  const auto found = sums.back();
  for (int r = 0; r < 16; r++)
    for (int c = 0; c < 8; c++) {
      int expected = 0;
      for (int k = 0; k < 32; k++) expected += a[size_t(r * 32 + k)] * b[size_t(c * 32 + k)];
      CHECK(found[size_t(r * 8 + c)] == expected);
    }

  // Whole numbers, which are exact in both types.
  std::vector<float> x(16 * 16), y(8 * 16), tall(16 * 8), wide(8 * 8);
  std::vector<uint16_t> x_bits, y_bits(16 * 8);
  for (float& value : x) value = float(int(random() % 17) - 8);
  for (float& value : y) value = float(int(random() % 17) - 8);
  for (const float value : x) x_bits.push_back(float_to_bf16(value));
  for (size_t k = 0; k < 16; k++)
    for (size_t c = 0; c < 8; c++) y_bits[k * 8 + c] = float_to_bf16(y[c * 16 + k]);
  const Array<uint16_t> bf16_left(device, x_bits), bf16_right(device, y_bits);
  const Array<float> floats(device, Floats(16 * 8, NAN));
  launch(device.queue(), "bf16", bf16_kernel, {1, 1, 1, 32, 384 * sizeof(uint16_t)}, floats.data,
         bf16_left.data, bf16_right.data);
  Floats products = floats.back();
  for (size_t r = 0; r < 16; r++)
    for (size_t c = 0; c < 8; c++) {
      float expected = 0;
      for (size_t k = 0; k < 16; k++) expected += x[r * 16 + k] * y[c * 16 + k];
      CHECK(products[r * 8 + c] == expected);
    }
  for (float& value : tall) value = float(int(random() % 17) - 8);
  for (float& value : wide) value = float(int(random() % 17) - 8);
  const Array<float> tf32_left(device, tall), tf32_right(device, wide);
  launch(device.queue(), "tf32", tf32_kernel, {}, floats.data, tf32_left.data, tf32_right.data);
  products = floats.back();
  for (size_t r = 0; r < 16; r++)
    for (size_t c = 0; c < 8; c++) {
      float expected = 0;
      for (size_t k = 0; k < 8; k++) expected += tall[r * 8 + k] * wide[c * 8 + k];
      CHECK(products[r * 8 + c] == expected);
    }
}
#endif

// A block of three warps: out [96, 8].
__global__ void words_kernel(int* out, const float* halves) {
  const int thread = int(threadIdx.x), lane = lane_of();
  int* mine = out + thread * 8;
  mine[0] = shuffle_xor(thread, 5);
  mine[1] = shuffle(thread, 7);
  mine[2] = shuffle_up(thread, 3);
  mine[3] = int(ballot(lane % 3 == 0));
  mine[4] = int(block_sum<96>(float(thread)));
  mine[5] = int(warp_max(float((thread * 37) % 96)));
  auto* copied = shared_memory<float>();
  if (thread < 8) copy_async16(copied + thread * 4, halves + thread * 4, thread != 3);
  commit_copies();
  wait_copies<0>();
  __syncthreads();
  mine[6] = int(copied[thread % 32]);
  mine[7] = dot_s8(0xff02fe01u, 0x7f80047fu, 10);
}

TEST_CASE("shuffles, votes, block sums and copies are what their names say") {
  Device device(0);
  std::vector<float> values(32);
  for (size_t i = 0; i < 32; i++) values[i] = float(i + 1);
  const Array<float> halves(device, values);
  const Array<int> out(device, std::vector<int>(96 * 8, -1));
  launch(device.queue(), "words", words_kernel, {1, 1, 1, 96, 32 * sizeof(float)}, out.data,
         halves.data);
  const auto found = out.back();
  for (int thread = 0; thread < 96; thread++) {
    const int lane = thread % 32, warp = thread / 32 * 32;
    const int* mine = found.data() + thread * 8;
    CHECK(mine[0] == (thread ^ 5));
    CHECK(mine[1] == warp + 7);
    CHECK(mine[2] == (lane < 3 ? thread : thread - 3));
    CHECK(mine[3] == 0x49249249);
    CHECK(mine[4] == 95 * 96 / 2);
    int most = 0;
    for (int other = warp; other < warp + 32; other++) most = std::max(most, (other * 37) % 96);
    CHECK(mine[5] == most);
    CHECK(mine[6] == (lane / 4 == 3 ? 0 : lane + 1));
    CHECK(mine[7] == 10 + 1 * 127 + -2 * 4 + 2 * -128 + -1 * 127);
  }
}

// Every bit pattern of the narrow types.
__global__ void narrow_kernel(float* halves, float* eights, uint16_t* back) {
  const int i = int(blockIdx.x) * 256 + int(threadIdx.x);
  halves[i] = half_bits_to_float(uint16_t(i));
  back[i] = float_to_bf16_bits(bits_to_float(uint32_t(i) * 65537u));
  if (i < 256) eights[i] = f8_bits_to_float(uint8_t(i));
}

TEST_CASE("every half, bfloat16 and FP8 is the number that it stands for") {
  Device device(0);
  const Array<float> halves(device, Floats(65536)), eights(device, Floats(256));
  const Array<uint16_t> back(device, std::vector<uint16_t>(65536));
  launch(device.queue(), "narrow", narrow_kernel, {256, 1, 1, 256, 0}, halves.data, eights.data,
         back.data);
  const Floats half = halves.back(), eight = eights.back();
  const auto rounded = back.back();
  const auto same = [](float a, float b) { return a == b || (a != a && b != b); };
  int wrong = 0;
  for (uint32_t i = 0; i < 65536; i++) {
    wrong += same(half[i], f16_to_float(uint16_t(i))) ? 0 : 1;
    const float value = std::bit_cast<float>(i * 65537u);
    wrong += rounded[i] == float_to_bf16(value) ? 0 : 1;
    wrong += std::isnan(value) == std::isnan(bf16_to_float(rounded[i])) ? 0 : 1;
    if (i < 256) wrong += same(eight[i], f8_to_float(uint8_t(i))) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace ringside
