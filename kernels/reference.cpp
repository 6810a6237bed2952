// The specification: what each operation of a Backend means, in plain loops.
#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "dequantize.h"
#include "host_backend.h"
#include "quant.h"

namespace ringside {
namespace {

constexpr float kPi = 3.14159265f;

float silu_of(float x) { return x / (1.0f + std::exp(-x)); }
float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// x as it meets weights of `type`: see enum Type.
void round_input(float* rounded, const float* x, int cols, Type type) {
  const bool narrow = type == Type::f8 || type == Type::bf16;
  if (narrow || type == Type::f32 || type == Type::f16) {
    for (int c = 0; c < cols; c++) rounded[c] = narrow ? bf16_to_float(float_to_bf16(x[c])) : x[c];
    return;
  }
  for (int g = 0; g < cols; g += kGroup) {
    const float scale = group_scale(x + g);
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    for (int c = g; c < g + kGroup; c++) rounded[c] = scale * float(quantize(x[c], inverse));
  }
}

// Puts the positions that a query at `position` attends to into `positions`, each once, ascending.
void attended(std::vector<int>& positions, const KvCache& cache, int position) {
  positions.clear();
  const int first = cache.window == 0 ? 0 : std::max(0, position - cache.window + 1);
  for (int p = first; p <= position; p++) positions.push_back(p);
  for (int hop = 1; cache.window > 0 && hop <= std::min(cache.max_hop, position); hop *= 2) {
    if (hop >= cache.window) positions.push_back(position - hop);
  }
  for (int p = 0; p < std::min(cache.sinks, position + 1); p++) positions.push_back(p);
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
}

int row_of(const KvCache& cache, int position) {
  return position < cache.sinks ? cache.slots + position : position % cache.slots;
}

// Value i of a cache's k or v.
float cached(const void* values, Type type, int64_t i) {
  if (type == Type::f16) return f16_to_float(static_cast<const uint16_t*>(values)[i]);
  return static_cast<const float*>(values)[i];
}

void put(void* values, Type type, int64_t i, float value) {
  if (type == Type::f16) {
    static_cast<uint16_t*>(values)[i] = float_to_f16(value);
  } else {
    static_cast<float*>(values)[i] = value;
  }
}

class Reference final : public HostBackend {
 public:
  // rounds false: activations meet the weights as they are.
  explicit Reference(bool rounds) : rounds_(rounds) {}

  std::string_view name() const override { return rounds_ ? "reference" : "exact"; }
  int threads() const override { return 1; }

  void reserve(const Limits& limits) override {
    const size_t widest = size_t(std::max({limits.max_cols, limits.max_hidden, limits.max_rows}));
    row_.resize(std::max(row_.size(), widest));
    input_.resize(std::max(input_.size(), size_t(limits.max_batch) * widest));
    gate_.resize(row_.size());
    up_.resize(row_.size());
    out_.resize(row_.size());
    // A ring may see more than max_context with its hops and sinks; then attention() adds to these.
    scores_.resize(std::max(scores_.size(), size_t(std::max(limits.max_context, 4096))));
    positions_.reserve(scores_.size());
    selection_.resize(std::max(selection_.size(), size_t(limits.max_experts)));
    probability_.resize(selection_.size());
    ranked_.reserve(selection_.size());
  }

  using HostBackend::matmul;
  size_t reserved_bytes(const Limits& l) const override {
    const size_t widest = size_t(std::max({l.max_cols, l.max_hidden, l.max_rows}));
    const size_t floats = (4 + size_t(l.max_batch)) * widest +
                          2 * size_t(std::max(l.max_context, 4096)) + 4 * size_t(l.max_experts);
    return floats * sizeof(float);
  }

  void matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) override {
    const int64_t cols = w.cols, stride = y_stride == 0 ? w.rows : y_stride;
    const Type type = rounds_ ? w.type : Type::f32;
    for (int i = 0; i < n; i++) round_input(input_.data() + i * cols, x + i * cols, w.cols, type);
    for (int r = 0; r < w.rows; r++) {
      dequantize_row(row_.data(), w, r);
      for (int i = 0; i < n; i++) {
        const float* input = input_.data() + i * cols;
        const float sum = std::inner_product(input, input + cols, row_.data(), 0.0f);
        y[i * stride + r] = sum + (w.bias != nullptr ? w.bias[r] : 0.0f);
      }
    }
  }

  void embed(float* y, const Matrix& w, const Token* tokens, int n) override {
    for (int i = 0; i < n; i++) dequantize_row(y + int64_t(i) * w.cols, w, tokens[i]);
  }

  void rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) override {
    for (int i = 0; i < n; i++, x += dim, y += dim) {
      float sum = 0.0f;
      for (int c = 0; c < dim; c++) sum += x[c] * x[c];
      const float scale = 1.0f / std::sqrt(sum / float(dim) + eps);
      for (int c = 0; c < dim; c++) y[c] = x[c] * scale * (weight != nullptr ? weight[c] : 1.0f);
    }
  }

  void layernorm(float* y, const float* x, const float* weight, const float* bias, int n, int dim,
                 float eps) override {
    for (int i = 0; i < n; i++, x += dim, y += dim) {
      const float mean = std::accumulate(x, x + dim, 0.0f) / float(dim);
      float variance = 0.0f;
      for (int c = 0; c < dim; c++) variance += (x[c] - mean) * (x[c] - mean) / float(dim);
      for (int c = 0; c < dim; c++)
        y[c] = (x[c] - mean) / std::sqrt(variance + eps) * weight[c] + bias[c];
    }
  }

  void add(float* x, const float* y, int64_t size) override {
    for (int64_t i = 0; i < size; i++) x[i] += y[i];
  }

  void swiglu(float* gate, const float* up, int64_t size) override {
    for (int64_t i = 0; i < size; i++) gate[i] = silu_of(gate[i]) * up[i];
  }

  void silu(float* x, int64_t size) override {
    for (int64_t i = 0; i < size; i++) x[i] = silu_of(x[i]);
  }

  void gelu(float* x, int64_t size) override {
    for (int64_t i = 0; i < size; i++) {
      const float inner = std::sqrt(2.0f / kPi) * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
      x[i] = x[i] / 2.0f * (1.0f + std::tanh(inner));
    }
  }

  void norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                 const Rope& rope, float eps, int position) override {
    const int half = rope.dim / 2;
    for (int i = 0; i < n; i++)
      for (int h = 0; h < n_heads; h++) {
        float* head = x + int64_t(i) * stride + h * head_dim;
        if (weight != nullptr) rmsnorm(head, head, weight, 1, head_dim, eps);
        for (int j = 0; j < half; j++) {
          const float angle = float(position + i) * rope.frequency[j];
          const float cosine = std::cos(angle) * rope.scale, sine = std::sin(angle) * rope.scale;
          float& first = head[rope.interleaved ? 2 * j : j];
          float& second = head[rope.interleaved ? 2 * j + 1 : j + half];
          const float a = first, b = second;
          first = a * cosine - b * sine;
          second = b * cosine + a * sine;
        }
      }
  }

  void store(const KvCache& cache, const float* k, const float* v, int n, int stride,
             int position) override {
    const int64_t width = int64_t(cache.n_kv_heads) * cache.head_dim;
    const auto store_row = [&](int64_t row) {
      for (int64_t c = 0; c < width; c++) {
        put(cache.k, cache.type, row * width + c, k[c]);
        put(cache.v, cache.type, row * width + c, v[c]);
      }
    };
    for (int p = position; p < position + n; p++, k += stride, v += stride) {
      store_row(p % cache.slots);
      if (p < cache.sinks) store_row(cache.slots + p);
    }
  }

  void attention(float* out, const float* q, const KvCache& cache, int n, int stride, int n_heads,
                 int position) override {
    const int dim = cache.head_dim, group = n_heads / cache.n_kv_heads;
    const int64_t width = int64_t(cache.n_kv_heads) * dim;
    for (int i = 0; i < n; i++) {
      attended(positions_, cache, position + i);
      scores_.resize(std::max(scores_.size(), positions_.size()));
      for (int h = 0; h < n_heads; h++, out += dim) {
        const float* query = q + int64_t(i) * stride + h * dim;
        const int64_t head = int64_t(h / group) * dim;
        float top = -INFINITY, sum = 0.0f;
        size_t count = 0;
        for (const int p : positions_) {
          const int64_t at = row_of(cache, p) * width + head;
          float score = 0.0f;
          for (int c = 0; c < dim; c++) score += query[c] * cached(cache.k, cache.type, at + c);
          scores_[count] = score / std::sqrt(float(dim));
          top = std::max(top, scores_[count++]);
        }
        for (size_t j = 0; j < count; j++) sum += scores_[j] = std::exp(scores_[j] - top);
        std::fill_n(out, dim, 0.0f);
        count = 0;
        for (const int p : positions_) {
          const int64_t at = row_of(cache, p) * width + head;
          const float weight = scores_[count++] / sum;
          for (int c = 0; c < dim; c++) out[c] += weight * cached(cache.v, cache.type, at + c);
        }
      }
    }
  }

  void lightning(float* out, const float* q, const float* k, const float* v,
                 const LinearState& state, int n, int stride) override {
    const int dim = state.head_dim;
    for (int i = 0; i < n; i++, q += stride, k += stride, v += stride) {
      advance(k, v, state, 1, stride);
      for (int h = 0; h < state.n_heads; h++, out += dim) {
        const float* s = state.s + int64_t(h) * dim * dim;
        for (int c = 0; c < dim; c++) {
          float sum = 0.0f;
          for (int a = 0; a < dim; a++) sum += q[h * dim + a] * s[a * dim + c];
          out[c] = sum / std::sqrt(float(dim));
        }
      }
    }
  }

  void advance(const float* k, const float* v, const LinearState& state, int n,
               int stride) override {
    const int dim = state.head_dim;
    for (int i = 0; i < n; i++, k += stride, v += stride)
      for (int h = 0; h < state.n_heads; h++) {
        const float decay = std::exp(-state.decay[h]);
        float* s = state.s + int64_t(h) * dim * dim;
        for (int a = 0; a < dim; a++)
          for (int c = 0; c < dim; c++)
            s[a * dim + c] = decay * s[a * dim + c] + k[h * dim + a] * v[h * dim + c];
      }
  }

  void gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                        int dim, int groups, float eps) override {
    const int width = dim / groups;
    for (int i = 0; i < n; i++, y += dim, x += dim, gate += dim) {
      for (int g = 0; g < groups; g++)
        rmsnorm(y + g * width, x + g * width, weight + g * width, 1, width, eps);
      for (int c = 0; c < dim; c++) y[c] *= sigmoid(gate[c]);
    }
  }

  void route(int* experts, float* weights, const Router& router, const float* h, int n,
             const int* features, int n_active, int first_featured) override {
    for (int i = 0; i < n; i++, h += router.dim) {
      for (int e = 0; e < router.n_experts; e++) {
        const float* row = router.w + int64_t(e) * router.dim;
        float logit = std::inner_product(h, h + router.dim, row, 0.0f);
        for (int f = 0; router.syntax != nullptr && i >= first_featured && f < n_active; f++)
          logit += router.syntax[e * router.n_features + features[f]];
        probability_[size_t(e)] = logit;
      }
      score(router);
      for (int e = 0; e < router.n_experts; e++)
        selection_[size_t(e)] =
            probability_[size_t(e)] + (router.bias != nullptr ? router.bias[e] : 0.0f);
      if (router.n_group > 1) drop_groups(router);
      for (int j = 0; j < router.top_k; j++) {
        const auto last = selection_.begin() + router.n_experts;
        const auto best = std::max_element(selection_.begin(), last);
        experts[j] = int(best - selection_.begin());
        weights[j] = probability_[size_t(experts[j])];
        *best = -INFINITY;
      }
      spend(experts, weights, router);
      experts += router.top_k;
      weights += router.top_k;
    }
  }

  void experts(float* y, const ExpertSet& set, const int* experts, const float* weights, int top_k,
               const float* x, int n) override {
    const std::span<const FeedForward> all = set.all;
    const int dim = all[0].down.rows, hidden = all[0].gate.rows;
    for (int i = 0; i < n; i++, x += dim, y += dim)
      for (int j = 0; j < top_k; j++) {
        if (experts[i * top_k + j] < 0) continue;
        const FeedForward& expert = all[size_t(experts[i * top_k + j])];
        matmul(gate_.data(), expert.gate, x, 1, 0);
        matmul(up_.data(), expert.up, x, 1, 0);
        swiglu(gate_.data(), up_.data(), hidden);
        matmul(out_.data(), expert.down, gate_.data(), 1, 0);
        for (int c = 0; c < dim; c++) y[c] += weights[i * top_k + j] * out_[size_t(c)];
      }
  }

 private:
  bool rounds_;

  // Logits become scores.
  void score(const Router& router) {
    const auto first = probability_.begin(), last = first + router.n_experts;
    if (!router.softmax) return void(std::transform(first, last, first, sigmoid));
    const float top = *std::max_element(first, last);
    for (auto p = first; p != last; p++) *p = std::exp(*p - top);
    const float sum = std::accumulate(first, last, 0.0f);
    for (auto p = first; p != last; p++) *p /= sum;
  }

  // The scores of a token's choice become weights, and those beyond the budget are taken back.
  static void spend(int* experts, float* weights, const Router& router) {
    const float total = std::accumulate(weights, weights + router.top_k, 1e-20f);
    float sum = 1e-20f;  // of those that run
    int run = 0;
    while (run < router.top_k) {
      sum += weights[run++];
      if (router.cover < 1.0f && sum >= router.cover * total) break;
      if (run == router.max_run) break;
    }
    std::fill(experts + run, experts + router.top_k, -1);
    std::fill(weights + run, weights + router.top_k, 0.0f);
    for (int j = 0; j < run; j++)
      weights[j] *= router.scale * (router.normalized ? 1.0f / sum : total / sum);
  }

  // Leaves eligible only the topk_group groups whose two best experts sum highest.
  void drop_groups(const Router& router) {
    const int size = router.n_experts / router.n_group;
    ranked_.clear();
    for (int g = 0; g < router.n_group; g++) {
      float best = -INFINITY, second = size > 1 ? -INFINITY : 0.0f;
      for (int e = g * size; e < (g + 1) * size; e++) {
        const float score = selection_[size_t(e)];
        if (size > 1) second = std::max(second, std::min(best, score));
        best = std::max(best, score);
      }
      ranked_.emplace_back(-(best + second), g);
    }
    std::sort(ranked_.begin(), ranked_.end());
    for (int r = router.topk_group; r < router.n_group; r++)
      std::fill_n(selection_.begin() + ranked_[size_t(r)].second * size, size, -INFINITY);
  }

  std::vector<float> row_, input_, gate_, up_, out_, scores_, selection_, probability_;
  std::vector<int> positions_;
  std::vector<std::pair<float, int>> ranked_;  // groups of experts
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<Reference>(true); }

std::unique_ptr<Backend> make_exact_backend() { return std::make_unique<Reference>(false); }

}  // namespace ringside
