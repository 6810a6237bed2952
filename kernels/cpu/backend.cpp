// Choosing a backend, and its small operations: norms, activations, embeddings.
#include "backend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "../dequantize.h"
#include "features.h"

namespace ringside {

void Cpu::reserve(const Limits& limits) {
  Limits& l = limits_;
  l.max_batch = std::max(l.max_batch, limits.max_batch);
  l.max_cols = std::max({l.max_cols, limits.max_cols, limits.max_hidden});
  l.max_experts = std::max(l.max_experts, limits.max_experts);
  l.max_top_k = std::max(l.max_top_k, limits.max_top_k);
  l.max_hidden = std::max(l.max_hidden, limits.max_hidden);
  l.max_rows = std::max(l.max_rows, limits.max_rows);
  inputs_.reserve(dot_, l.max_batch, l.max_cols);
  if (l.max_experts == 0) return;
  const int places = l.max_batch * l.max_top_k;
  expert_inputs_.reserve(dot_, places, 0);
  hidden_inputs_.reserve(dot_, places, l.max_hidden);
  gate_.resize(size_t(places) * size_t(l.max_hidden));
  up_.resize(gate_.size());
  out_.resize(size_t(places) * size_t(l.max_cols));
  first_of_.resize(size_t(l.max_experts) + 1);
  place_.resize(size_t(places));
  used_.resize(size_t(l.max_experts));
  scores_.resize(size_t(l.max_batch) * size_t(l.max_experts));
  selection_.resize(scores_.size());
  group_best_.resize(scores_.size());
}

size_t Cpu::reserved_bytes(const Limits& l) const {
  const int cols = std::max(l.max_cols, l.max_hidden), places = l.max_batch * l.max_top_k;
  const size_t inputs = Inputs::reserved_bytes(dot_, l.max_batch, cols);
  if (l.max_experts == 0) return inputs;
  const size_t of_experts = size_t(places) * size_t(2 * l.max_hidden + cols + 1) +
                            3 * size_t(l.max_batch) * size_t(l.max_experts);
  return inputs + Inputs::reserved_bytes(dot_, places, 0) +
         Inputs::reserved_bytes(dot_, places, l.max_hidden) + of_experts * sizeof(float);
}

void Cpu::embed(float* y, const Matrix& w, const Token* tokens, int n) {
  for (int i = 0; i < n; i++) dequantize_row(y + int64_t(i) * w.cols, w, tokens[i]);
}

void Cpu::rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) {
  for (int i = 0; i < n; i++, x += dim, y += dim) {
    float sum;
    dot_.scores(&sum, x, x, 0, 1, dim, 1.0f);
    const float scale = 1.0f / std::sqrt(sum / float(dim) + eps);
    if (weight == nullptr) {
      for (int c = 0; c < dim; c++) y[c] = x[c] * scale;
    } else {
      for (int c = 0; c < dim; c++) y[c] = x[c] * scale * weight[c];
    }
  }
}

void Cpu::layernorm(float* y, const float* x, const float* weight, const float* bias, int n,
                    int dim, float eps) {
  for (int i = 0; i < n; i++, x += dim, y += dim) {
    const float mean = std::accumulate(x, x + dim, 0.0f) / float(dim);
    for (int c = 0; c < dim; c++) y[c] = x[c] - mean;
    float sum;
    dot_.scores(&sum, y, y, 0, 1, dim, 1.0f);
    const float scale = 1.0f / std::sqrt(sum / float(dim) + eps);
    for (int c = 0; c < dim; c++) y[c] = y[c] * scale * weight[c] + bias[c];
  }
}

void Cpu::add(float* x, const float* y, int64_t size) {
  for (int64_t i = 0; i < size; i++) x[i] += y[i];
}

void Cpu::swiglu(float* gate, const float* up, int64_t size) { dot_.silu(gate, up, size); }

void Cpu::silu(float* x, int64_t size) { dot_.silu(x, nullptr, size); }

void Cpu::gelu(float* x, int64_t size) { dot_.gelu(x, size); }

namespace {

// Turns the first channels of a head; cosine and sine [rope.dim / 2].
void rotate(float* head, const Rope& rope, const float* cosine, const float* sine) {
  const int half = rope.dim / 2;
  if (rope.interleaved) {
    for (int j = 0; j < half; j++) {
      const float a = head[2 * j], b = head[2 * j + 1];
      head[2 * j] = a * cosine[j] - b * sine[j];
      head[2 * j + 1] = b * cosine[j] + a * sine[j];
    }
    return;
  }
  for (int j = 0; j < half; j++) {
    const float a = head[j], b = head[j + half];
    head[j] = a * cosine[j] - b * sine[j];
    head[j + half] = b * cosine[j] + a * sine[j];
  }
}

constexpr int kRotationWork = 32;  // multiply-adds that a sine and a cosine cost like

}  // namespace

void Cpu::norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                    const Rope& rope, float eps, int position) {
  assert(rope.dim <= kMaxHeadDim);
  const int half = rope.dim / 2;
  const int64_t work = int64_t(n) * (n_heads * head_dim * 4 + half * kRotationWork);
  run(work, n, [&](int i) {
    float cosine[kMaxHeadDim / 2], sine[kMaxHeadDim / 2];
    for (int j = 0; j < half; j++) {
      const float angle = float(position + i) * rope.frequency[j];
      cosine[j] = std::cos(angle) * rope.scale;
      sine[j] = std::sin(angle) * rope.scale;
    }
    float* head = x + int64_t(i) * stride;
    for (int h = 0; h < n_heads; h++, head += head_dim) {
      if (weight != nullptr) rmsnorm(head, head, weight, 1, head_dim, eps);
      rotate(head, rope, cosine, sine);
    }
  });
}

void Cpu::gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                           int dim, int groups, float eps) {
  const int width = dim / groups;
  for (int i = 0; i < n; i++, y += dim, x += dim, gate += dim) {
    for (int g = 0; g < groups; g++)
      rmsnorm(y + g * width, x + g * width, weight + g * width, 1, width, eps);
    for (int c = 0; c < dim; c++) y[c] /= 1.0f + std::exp(-gate[c]);
  }
}

namespace {

// The table of `isa`, or null if this build or processor lacks it.
const Dot* table_of(std::string_view isa) {
  if (isa == "avx512") return has_avx512() ? dot_avx512() : nullptr;
  if (isa == "avxvnni") return has_avxvnni() ? dot_avxvnni() : nullptr;
  if (isa == "avx2") return has_avx2() ? dot_avx2() : nullptr;
  if (isa == "neon") return dot_neon();
  return nullptr;
}

}  // namespace

std::vector<std::string> available_backends() {
  std::vector<std::string> names;
#ifdef RINGSIDE_EMULATED_VNNI
  constexpr const char* kInstructions[] = {"avx512", "avx2", "neon", "avxvnni"};
#else
  constexpr const char* kInstructions[] = {"avx512", "avxvnni", "avx2", "neon"};
#endif
  for (const char* name : kInstructions)
    if (table_of(name) != nullptr) names.emplace_back(name);
  names.emplace_back("reference");
  return names;
}

std::unique_ptr<Backend> make_backend(std::string_view isa, int threads) {
  if (isa == "auto") return make_backend(available_backends().front(), threads);
  if (isa == "reference") return make_reference_backend();
  const Dot* dot = table_of(isa);
  return dot != nullptr ? std::make_unique<Cpu>(*dot, threads) : nullptr;
}

}  // namespace ringside
