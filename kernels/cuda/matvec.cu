// Products with up to kMaxColumns columns of activations: decoding.
#include <algorithm>

#include "hidden.h"
#include "work.h"

namespace ringside::cuda {

namespace {

constexpr int kWarps = 4;  // a block: small ones are replaced sooner when they end. A guess

// Blocks that a processor is to hold at least, which limits the registers: 24 warps to 12.
template <int N>
constexpr int kBlocks = N == 1   ? 6
                        : N == 2 ? 5
                        : N == 4 ? 4
                                 : 3;

// y = x w^T + bias, a warp for each kRows rows. Bound by reading the
// weights (rows.h).
template <int N>
__global__ void __launch_bounds__(kWarps* kWarp, kBlocks<N>)
    matvec_kernel(float* y, Parts parts, Activations x, int n, int64_t y_stride) {
  const int part = parts.part_of(int(blockIdx.x));
  const Matrix& w = parts.w[part];
  const int row = ((int(blockIdx.x) - parts.first_block[part]) * kWarps + warp_of()) * kRows;
  if (row >= w.rows) return;
  const float sum = multiply_rows<N>({w, x, row, n});
  int which;
  if (!has_sum<kRows * N>(which)) return;
  const int r = row + which / N, i = which % N;
  if (r >= w.rows || i >= n) return;
  const float bias = w.bias != nullptr ? w.bias[r] : 0.0f;
  y[i * y_stride + parts.first_row[part] + r] = sum + bias;
}

}  // namespace

void multiply_few(const Queue& queue, float* y, std::span<const Matrix> all, const Activations& x,
                  int n, int y_stride) {
  auto* const kernel = n == 1   ? matvec_kernel<1>
                       : n == 2 ? matvec_kernel<2>
                       : n <= 4 ? matvec_kernel<4>
                                : matvec_kernel<8>;
  int row = 0;
  for (size_t first = 0; first < all.size(); first += kMaxParts) {
    Parts parts;
    for (const Matrix& w : all.subspan(first, std::min<size_t>(kMaxParts, all.size() - first))) {
      parts.add(w, row, kWarps * kRows);
      row += w.rows;
    }
    launch(queue, "matvec", kernel, {parts.blocks(), 1, 1, kWarps * kWarp, 0}, y, parts, x, n,
           y_stride);
  }
}

namespace {

template <int N>
__global__ void __launch_bounds__(kHiddenWarps* kWarp, kHiddenBlocks<N>)
    gate_up_kernel(float* hidden, Activations rounded, unsigned forms, Parts parts, Activations x,
                   int n) {
  make_hidden<N>(
      hidden, rounded, forms, [&](int i) -> const Matrix& { return parts.w[i]; }, x,
      int(blockIdx.x) * kGroup, n);
}

}  // namespace

void gate_up_few(const Queue& queue, float* hidden, const Activations& rounded, unsigned forms,
                 const Matrix& gate, const Matrix& up, const Activations& x, int n) {
  auto* const kernel = n == 1   ? gate_up_kernel<1>
                       : n == 2 ? gate_up_kernel<2>
                       : n <= 4 ? gate_up_kernel<4>
                                : gate_up_kernel<8>;
  Parts parts;
  parts.add(gate, 0, kGroup);
  parts.add(up, 0, kGroup);
  launch(queue, "gate_up", kernel,
         {(gate.rows + kGroup - 1) / kGroup, 1, 1, kHiddenWarps * kWarp, 0}, hidden, rounded, forms,
         parts, x, n);
}

}  // namespace ringside::cuda
