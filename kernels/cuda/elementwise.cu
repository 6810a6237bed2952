// Value by value.
#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kThreads = 256;

__device__ float silu_of(float x) { return x / (1.0f + expf(-x)); }

// x[i] = one of these of x[i] and y[i], a thread a value. Bound by bandwidth.
template <Elementwise kWhat>
__global__ void __launch_bounds__(kThreads)
    elementwise_kernel(float* x, const float* y, int64_t size) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= size) return;
  const float value = x[i];
  if constexpr (kWhat == Elementwise::add) x[i] = value + y[i];
  if constexpr (kWhat == Elementwise::scale) x[i] = value * y[i];
  if constexpr (kWhat == Elementwise::swiglu) x[i] = silu_of(value) * y[i];
  if constexpr (kWhat == Elementwise::silu) x[i] = silu_of(value);
  if constexpr (kWhat == Elementwise::gelu) {
    const float inner = 0.797884561f * (value + 0.044715f * value * value * value);
    x[i] = value / 2.0f * (1.0f + tanhf(inner));
  }
}

}  // namespace

void elementwise(const Queue& queue, Elementwise what, float* x, const float* y, int64_t size) {
  if (size == 0) return;
  const Grid grid{.x = (size + kThreads - 1) / kThreads, .threads = kThreads};
  switch (what) {
    case Elementwise::add:
      return launch(queue, "add", elementwise_kernel<Elementwise::add>, grid, x, y, size);
    case Elementwise::scale:
      return launch(queue, "scale", elementwise_kernel<Elementwise::scale>, grid, x, y, size);
    case Elementwise::swiglu:
      return launch(queue, "swiglu", elementwise_kernel<Elementwise::swiglu>, grid, x, y, size);
    case Elementwise::silu:
      return launch(queue, "silu", elementwise_kernel<Elementwise::silu>, grid, x, y, size);
    case Elementwise::gelu:
      return launch(queue, "gelu", elementwise_kernel<Elementwise::gelu>, grid, x, y, size);
  }
}

}  // namespace ringside::cuda
