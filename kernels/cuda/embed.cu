// Rows of a table of weights.
#include "format.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kThreads = 128;

// Four int8 of a word, times scale, plus offset: as dequantize_row() does.
__device__ float4 scaled(uint32_t word, float scale, float offset) {
  const auto value = [&](int j) { return float(int8_t(word >> (8 * j))) * scale + offset; };
  return make_float4(value(0), value(1), value(2), value(3));
}

template <Type kType>
__device__ void embed_group(float* y, const Matrix& w, int row, int g) {
  Raw raw;
  load_group<kType>(raw, row_planes(kType, w, row), g);
  uint32_t q[8];
  unpack_group<kType>(q, raw);
  const float2 scales = scales_of<kType>(raw, g);
  auto* out = reinterpret_cast<float4*>(y + g * kGroup);
  for (int k = 0; k < 8; k++) {
    if constexpr (kType == Type::q6_k) {
      out[k] = scaled(q[k], k < 4 ? scales.x : scales.y, 0.0f);
    } else {
      out[k] = scaled(q[k], scales.x, scales.y);
    }
  }
}

// y[i] = the row of w that tokens[i] names. A thread writes 32 columns of integers, or one float.
// Bound by latency: a row is a few KB.
__global__ void __launch_bounds__(kThreads) embed_kernel(float* y, Matrix w, const Token* tokens) {
  const int at = int(blockIdx.x) * kThreads + int(threadIdx.x), row = tokens[blockIdx.y];
  y += int64_t(blockIdx.y) * w.cols;
  if (!is_integer(w.type)) {
    if (at < w.cols) y[at] = float_at(w, row, at);
  } else if (at < w.cols / kGroup) {
    with_integer_type(w.type, [&](auto tag) { embed_group<decltype(tag)::kValue>(y, w, row, at); });
  }
}

}  // namespace

void embed(const Queue& queue, float* y, const Matrix& w, const Token* tokens, int n) {
  if (n == 0) return;
  const int threads = is_integer(w.type) ? w.cols / kGroup : w.cols;
  launch(queue, "embed", embed_kernel, {(threads + kThreads - 1) / kThreads, n, 1, kThreads, 0}, y,
         w, tokens);
}

}  // namespace ringside::cuda
