// Matrices: activations prepared once, then tiles or panels of them against rows of weights.
#include <algorithm>

#include "../quant.h"
#include "backend.h"

namespace ringside {
namespace {

// Rows of weights handed out at once. Few rows of x take as long as the weights take to come from
// the memory, and the processor fetches ahead along what lies together, but begins anew where the
// next rows are another thread's: then each thread takes some kTurns times. Q4_K of 8,960 x 1,536
// comes to two threads at 18.8 GB/s by 32 rows, at 25.7 in eight turns (Zen 4; AVX2 there 15.0 and
// 24.0; best of three and of two).
constexpr int kRowsAPart = 32, kTurns = 8;

int rows_a_part(int rows, int n, int threads) {
  if (n > kTile) return kRowsAPart;
  return std::max(1, rows / (kTurns * threads * kRowsAPart)) * kRowsAPart;
}

int64_t padded(int64_t cols) { return (cols + kSuperBlock - 1) / kSuperBlock * kSuperBlock; }

// Rows first .. end-1 of w; where blocks share scales, only those of first's block.
Rows rows_of(const Matrix& w, int first, int end) {
  Rows rows{w.type,  end - first, w.cols, w.cols, nullptr, row_bytes(w.type, w.cols),
            nullptr, nullptr,     0};
  rows.data = static_cast<const uint8_t*>(w.data) + first * rows.bytes;
  if (w.type == Type::int4) {
    rows.group = w.group;
    rows.scale_step = w.cols / w.group;
    rows.scales = static_cast<const uint16_t*>(w.scales) + first * rows.scale_step;
    if (w.zeros != nullptr) rows.zeros = w.zeros + first * rows.scale_step;
  } else if (w.type == Type::f8 && w.block == 0) {
    rows.scales = static_cast<const float*>(w.scales) + first;
    rows.scale_step = 1;
  } else if (w.type == Type::f8) {
    const int row = first / w.block, across = (w.cols + w.block - 1) / w.block;
    rows.count = std::min(end, (row + 1) * w.block) - first;
    rows.group = w.block;
    rows.scales = static_cast<const float*>(w.scales) + int64_t(row) * across;
  }
  return rows;
}

// Of the next `count` rows, how many panels are to take: whole panels, and one that is half used.
int rows_in_panels(const Panels& panels, int count) {
  if (panels.rows == 0) return 0;
  const int taken = std::min(count, kPanelsRows), rest = taken % panels.rows;
  return 2 * rest < panels.rows ? taken - rest : taken;
}

}  // namespace

Form form_of(Type type) {
  switch (type) {
    case Type::f32:
    case Type::f16:
      return Form::f32;
    case Type::bf16:
    case Type::f8:
      return Form::bf16;
    case Type::int4:
      return Form::paired;
    default:
      return Form::integers;
  }
}

size_t Inputs::reserved_bytes(const Dot& dot, int max_rows, int max_cols) {
  // int8 in two orders, bfloat16 or rounded floats, and for each group twelve floats of scales and
  // sums.
  const size_t each = 2 + (dot.takes_bf16 ? sizeof(uint16_t) : sizeof(float));
  const size_t of_group = 12 * sizeof(float);
  const size_t row = size_t(padded(max_cols)) * each + size_t(padded(max_cols)) / kGroup * of_group;
  return size_t(max_rows) * (row + sizeof(Activations));
}

void Inputs::reserve(const Dot& dot, int max_rows, int max_cols) {
  const size_t rows = std::max(rows_.size(), size_t(max_rows));
  max_cols_ = std::max(max_cols_, padded(max_cols));
  rows_.resize(rows);
  q_.resize(rows * size_t(max_cols_));
  paired_.resize(q_.size());
  if (dot.takes_bf16) {
    bf16_.resize(q_.size());
  } else {
    rounded_.resize(q_.size());
  }
  scales_.resize(q_.size() / kGroup * 8);
  sums_.resize(q_.size() / kGroup * 2);
  group_scales_.resize(q_.size() / kGroup);
  group_sums_.resize(q_.size() / kGroup);
}

void Inputs::prepare_row(const Dot& dot, const float* x, int i, int cols, Form form) {
  const int64_t at = i * max_cols_;
  int8_t *q = q_.data() + at, *paired = paired_.data() + at;
  float *scales = scales_.data() + at / kGroup * 8, *sums = sums_.data() + at / kGroup * 2;
  float* group_scales = group_scales_.data() + at / kGroup;
  float* group_sums = group_sums_.data() + at / kGroup;
  uint16_t* bf16 = bf16_.data() + (dot.takes_bf16 ? at : 0);
  float* rounded = rounded_.data() + (dot.takes_bf16 ? 0 : at);
  if (form == Form::paired || form == Form::integers) {
    int8_t* to = form == Form::paired ? paired : q;
    for (int c = 0; c < cols; c += kGroup)
      dot.quantize(to + c, scales + c / kGroup * 8, sums + c / kGroup * 2, x + c,
                   form == Form::paired);
    const int64_t end = padded(cols);
    std::fill(scales + cols / kGroup * 8, scales + end / kGroup * 8, 0.0f);
    std::fill(sums + cols / kGroup * 2, sums + end / kGroup * 2, 0.0f);
    for (int64_t g = 0; g < end / kGroup; g++) {
      group_scales[g] = scales[8 * g];
      group_sums[g] = sums[2 * g] + sums[2 * g + 1];
    }
  } else if (form == Form::bf16) {
    if (dot.takes_bf16) {
      for (int c = 0; c < cols; c++) bf16[c] = float_to_bf16(x[c]);
    } else {
      for (int c = 0; c < cols; c++) rounded[c] = bf16_to_float(float_to_bf16(x[c]));
    }
  }
  rows_[size_t(i)] = {q, paired, scales, sums, group_scales, group_sums, bf16, rounded, x};
}

void Inputs::prepare(const Dot& dot, Threads& threads, const float* x, int n, int cols, Form form) {
  const auto row = [&](int i) { prepare_row(dot, x + int64_t(i) * cols, i, cols, form); };
  if (int64_t(n) * cols * 4 >= kParallelWork) {  // about four operations a value
    threads.run(n, row);
  } else {
    for (int i = 0; i < n; i++) row(i);
  }
}

// y[i * y_stride + r] for rows first_row .. end_row-1 of w and all n activations.
void Cpu::multiply(float* y, int64_t y_stride, const Matrix& w, const Activations* x, int n,
                   int first_row, int end_row) {
  const Form form = form_of(w.type);
  const bool integers = form == Form::paired || form == Form::integers;
  const Panels& panels = integers ? dot_.integers : dot_.floats;
  for (int r = first_row; r < end_row;) {
    const int in_panels = n >= panels.least ? rows_in_panels(panels, end_row - r) : 0;
    const Rows rows = rows_of(w, r, in_panels > 0 ? r + in_panels : end_row);
    const auto product = in_panels > 0 ? panels.run : dot_.rows;
    const int most = in_panels > 0 ? kPanelTokens : kTile;
    for (int i = 0; i < n; i += most)
      product(y + i * y_stride + r, y_stride, rows, x + i, std::min(most, n - i));
    r += rows.count;
  }
  if (w.bias == nullptr) return;
  for (int i = 0; i < n; i++)
    for (int r = first_row; r < end_row; r++) y[i * y_stride + r] += w.bias[r];
}

void Cpu::matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) {
  inputs_.prepare(dot_, threads_, x, n, w.cols, form_of(w.type));
  const int rows = rows_a_part(w.rows, n, threads());
  const int parts = (w.rows + rows - 1) / rows;
  run(int64_t(w.rows) * w.cols * n, parts, [&](int part) {
    const int first = part * rows;
    multiply(y, y_stride == 0 ? w.rows : y_stride, w, inputs_.row(0), n, first,
             std::min(w.rows, first + rows));
  });
}

}  // namespace ringside
