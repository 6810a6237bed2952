// Norms of rows, with what is added before and the forms that are asked for after.
#include "activations.h"
#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kThreads = 512;  // a row of 4,096 is eight values a thread; a guess

// x += delta (where there is one), then y = x / rms(x) * weight, one block a row. Bound by latency,
// not bandwidth: a row is 4 to 32 KB and the second look at it hits L1.
__global__ void __launch_bounds__(kThreads)
    rmsnorm_kernel(float* y, float* x, const float* delta, const float* weight,
                   Activations forms_of_y, unsigned forms, int dim, float eps) {
  const int row = int(blockIdx.x);
  const int64_t at = int64_t(row) * dim;
  float sum = 0.0f;
  for (int c = int(threadIdx.x); c < dim; c += kThreads) {
    float value = x[at + c];
    if (delta != nullptr) x[at + c] = value += delta[at + c];
    sum += value * value;
  }
  const float scale = 1.0f / sqrtf(block_sum<kThreads>(sum) / float(dim) + eps);
  for (int first = warp_of() * kWarp; first < dim; first += kThreads) {  // whole warps
    const int c = first + lane_of();
    float value = 0.0f;
    if (c < dim) {
      value = x[at + c] * scale * (weight != nullptr ? weight[c] : 1.0f);
      y[at + c] = value;
    }
    store_forms(forms_of_y, forms, row, c, value);
  }
}

// y = (x - mean) / sqrt(variance + eps) * weight + bias, one block a row.
__global__ void __launch_bounds__(kThreads)
    layernorm_kernel(float* y, const float* x, const float* weight, const float* bias,
                     Activations forms_of_y, unsigned forms, int dim, float eps) {
  const int row = int(blockIdx.x);
  const int64_t at = int64_t(row) * dim;
  float sum = 0.0f;
  for (int c = int(threadIdx.x); c < dim; c += kThreads) sum += x[at + c];
  const float mean = block_sum<kThreads>(sum) / float(dim);
  float squares = 0.0f;
  for (int c = int(threadIdx.x); c < dim; c += kThreads) {
    squares += (x[at + c] - mean) * (x[at + c] - mean);
  }
  const float scale = 1.0f / sqrtf(block_sum<kThreads>(squares) / float(dim) + eps);
  for (int first = warp_of() * kWarp; first < dim; first += kThreads) {
    const int c = first + lane_of();
    float value = 0.0f;
    if (c < dim) {
      value = (x[at + c] - mean) * scale * weight[c] + bias[c];
      y[at + c] = value;
    }
    store_forms(forms_of_y, forms, row, c, value);
  }
}

constexpr int kGroupThreads = 256;

// y = rmsnorm(x) * weight * sigmoid(gate) of each group of columns, one block a group of a row. `y`
// may be x: a thread reads a value before it writes it.
__global__ void __launch_bounds__(kGroupThreads)
    gated_group_norm_kernel(float* y, const float* x, const float* gate, const float* weight,
                            Activations forms_of_y, unsigned forms, int dim, int width, float eps) {
  const int row = int(blockIdx.y), from = int(blockIdx.x) * width;
  const int64_t at = int64_t(row) * dim + from;
  float sum = 0.0f;
  for (int c = int(threadIdx.x); c < width; c += kGroupThreads) sum += x[at + c] * x[at + c];
  const float scale = 1.0f / sqrtf(block_sum<kGroupThreads>(sum) / float(width) + eps);
  for (int first = warp_of() * kWarp; first < width; first += kGroupThreads) {
    const int c = first + lane_of();
    float value = 0.0f;
    if (c < width) {
      value = x[at + c] * scale * weight[from + c] / (1.0f + expf(-gate[at + c]));
      y[at + c] = value;
    }
    store_forms(forms_of_y, forms, row, from + c, value);
  }
}

}  // namespace

void rmsnorm(const Queue& queue, float* y, float* x, const float* delta, const float* weight,
             const Activations& forms_of_y, unsigned forms, int n, int dim, float eps) {
  launch(queue, "rmsnorm", rmsnorm_kernel, {.x = n, .threads = kThreads}, y, x, delta, weight,
         forms_of_y, forms, dim, eps);
}

void layernorm(const Queue& queue, float* y, const float* x, const float* weight, const float* bias,
               const Activations& forms_of_y, unsigned forms, int n, int dim, float eps) {
  launch(queue, "layernorm", layernorm_kernel, {.x = n, .threads = kThreads}, y, x, weight, bias,
         forms_of_y, forms, dim, eps);
}

void gated_group_norm(const Queue& queue, float* y, const float* x, const float* gate,
                      const float* weight, const Activations& forms_of_y, unsigned forms, int n,
                      int dim, int groups, float eps) {
  launch(queue, "gated_group_norm", gated_group_norm_kernel,
         {.x = groups, .y = n, .threads = kGroupThreads}, y, x, gate, weight, forms_of_y, forms,
         dim, dim / groups, eps);
}

}  // namespace ringside::cuda
