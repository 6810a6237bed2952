// Activations rounded for the weights that they meet.
#include "activations.h"
#include "format.h"

namespace ringside::cuda {

unsigned forms_of(Type type) {
  if (is_integer(type)) return kIntegers;
  return type == Type::f8 || type == Type::bf16 ? kBf16 : 0u;
}

unsigned forms_of_all(unsigned types) {
  unsigned forms = 0;
  for (unsigned type = 0; type <= unsigned(Type::q6_k); type++)
    if ((types >> type & 1) != 0) forms |= forms_of(Type(type));
  return forms;
}

namespace {

constexpr int kThreads = 128;
constexpr int kEach = 4;  // columns a thread: 16 bytes of floats

// q = round(x / scale) with scale = max|x| / 127 of 32 columns, and bf16(x). A thread has four
// columns, so eight lanes a group. Bound by latency: a row is a few KB, and lies in the L2 cache.
__global__ void __launch_bounds__(kThreads) prepare_kernel(Activations x, unsigned forms) {
  const int c = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach, row = int(blockIdx.x);
  const int64_t at = int64_t(row) * x.cols + c;
  float value[kEach] = {0.0f, 0.0f, 0.0f, 0.0f};
  if (x.cols % kEach == 0) {
    if (c < x.cols) {
      const float4 four = *reinterpret_cast<const float4*>(x.f32 + at);
      value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
    }
  } else {
    for (int i = 0; i < kEach; i++) value[i] = c + i < x.cols ? x.f32[at + i] : 0.0f;
  }
  if ((forms & kBf16) != 0) {
    for (int i = 0; i < kEach; i++)
      if (c + i < x.cols) x.bf16[at + i] = float_to_bf16_bits(value[i]);
  }
  if ((forms & kIntegers) == 0) return;

  uint32_t top = 0;
  for (int i = 0; i < kEach; i++) top = larger(top, magnitude_bits(value[i]));
  for (int mask = 1; mask < kGroup / kEach; mask *= 2) top = larger(top, shuffle_xor(top, mask));
  const GroupScale group = group_scale_of(bits_to_float(top));
  uint32_t word = 0;
  int sum = 0;
  for (int i = 0; i < kEach; i++) {
    const int8_t q = rounded(value[i], group.inverse);
    word |= uint32_t(uint8_t(q)) << (8 * i);
    sum += q;
  }
  for (int mask = 1; mask < kGroup / kEach; mask *= 2) sum += shuffle_xor(sum, mask);
  if (c >= x.cols) return;
  *reinterpret_cast<uint32_t*>(x.q + at) = word;
  if (c % kGroup == 0) x.groups[at / kGroup] = make_float2(group.scale, group.scale * float(sum));
}

}  // namespace

void prepare(const Queue& queue, const Activations& x, int n, unsigned forms) {
  if (n == 0 || forms == 0) return;
  const int threads = (x.cols + kEach - 1) / kEach;
  // Rows in x: of a batch's chosen experts there may be more than y can count, which is 65,535.
  launch(queue, "prepare", prepare_kernel, {n, (threads + kThreads - 1) / kThreads, 1, kThreads, 0},
         x, forms);
}

}  // namespace ringside::cuda
