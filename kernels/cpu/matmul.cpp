// Matrices: activations prepared once, then tiles of kTile of them against rows of weights.
#include <algorithm>

#include "../quant.h"
#include "backend.h"

namespace ringside {
namespace {

constexpr int kRowsAPart = 32;  // rows of weights handed out at once: 4-12 KB of int4, within L1

int padded_groups(int cols) { return (cols / kGroup + 15) / 16 * 16; }

}  // namespace

void Inputs::reserve(int max_rows, int max_cols) {
  const size_t rows = std::max(rows_.size(), size_t(max_rows));
  max_cols_ = std::max(max_cols_, (max_cols + kGroup - 1) / kGroup * kGroup);
  rows_.resize(rows);
  q_.resize(rows * size_t(max_cols_));
  bf16_.resize(q_.size());
  scales_.resize(q_.size() / kGroup * 8);
  corrections_.resize(rows * size_t(padded_groups(max_cols_)));
}

void Inputs::prepare_row(const Dot& dot, const float* x, int i, int cols, Type type) {
  const size_t at = size_t(i) * size_t(max_cols_);
  int8_t* q = q_.data() + at;
  float* scales = scales_.data() + at / kGroup * 8;
  float* corrections = corrections_.data() + size_t(i) * size_t(padded_groups(max_cols_));
  uint16_t* bf16 = bf16_.data() + at;
  if (type == Type::int4) {
    for (int g = 0; g < cols / kGroup; g++)
      dot.quantize(q + g * kGroup, scales + g * 8, corrections + g, x + g * kGroup);
    std::fill(corrections + cols / kGroup, corrections + padded_groups(cols), 0.0f);
  } else if (type == Type::f8 || type == Type::bf16) {
    for (int c = 0; c < cols; c++) bf16[c] = float_to_bf16(x[c]);
  }
  rows_[size_t(i)] = {q, scales, corrections, bf16, x};
}

void Inputs::prepare(const Dot& dot, Threads& threads, const float* x, int n, int cols, Type type) {
  const auto row = [&](int i) { prepare_row(dot, x + int64_t(i) * cols, i, cols, type); };
  if (int64_t(n) * cols * 4 >= kParallelWork) {  // about four operations a value
    threads.run(n, row);
  } else {
    for (int i = 0; i < n; i++) row(i);
  }
}

// y[i, r] for rows first_row .. end_row-1 of w and all n activations.
void Cpu::multiply(float* y, const Matrix& w, const Activations* x, int n, int first_row,
                   int end_row) {
  const int cols = w.cols;
  for (int i = 0; i < n; i += kTile) {
    const int count = std::min(kTile, n - i);
    for (int r = first_row; r < end_row; r++) {
      float* out = y + int64_t(i) * w.rows + r;
      const int64_t at = int64_t(r) * cols;
      switch (w.type) {
        case Type::int4:
          dot_.int4(out, w.rows, static_cast<const uint8_t*>(w.data) + at / 2,
                    static_cast<const uint16_t*>(w.scales) + at / kGroup, x + i, count, cols);
          break;
        case Type::f8:
          dot_.f8(out, w.rows, static_cast<const uint8_t*>(w.data) + at,
                  static_cast<const float*>(w.scales)[r], x + i, count, cols);
          break;
        case Type::bf16:
          dot_.bf16(out, w.rows, static_cast<const uint16_t*>(w.data) + at, x + i, count, cols);
          break;
        case Type::f16:
          dot_.f16(out, w.rows, static_cast<const uint16_t*>(w.data) + at, x + i, count, cols);
          break;
        case Type::f32:
          dot_.f32(out, w.rows, static_cast<const float*>(w.data) + at, x + i, count, cols);
          break;
      }
    }
  }
}

void Cpu::matmul(float* y, const Matrix& w, const float* x, int n) {
  inputs_.prepare(dot_, threads_, x, n, w.cols, w.type);
  const int parts = (w.rows + kRowsAPart - 1) / kRowsAPart;
  run(int64_t(w.rows) * w.cols * n, parts, [&](int part) {
    const int first = part * kRowsAPart;
    multiply(y, w, inputs_.row(0), n, first, std::min(w.rows, first + kRowsAPart));
  });
}

}  // namespace ringside
