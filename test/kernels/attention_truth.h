// What attention is, for the tests of every backend: softmax in double over the union of the sets
// that the contract names, from unbounded memory.
#pragma once

#include <cmath>
#include <set>

#include "support.h"

namespace ringside {

struct Shape {
  int window, max_hop, sinks, slots, n_heads, n_kv_heads, head_dim;
};

inline const std::vector<Shape> kAttentionShapes = {
    {0, 0, 0, 200, 2, 1, 16},    {1, 64, 0, 96, 2, 2, 8},     {16, 32, 4, 64, 4, 2, 16},
    {7, 33, 3, 61, 3, 1, 12},    {5, 4, 1, 37, 2, 2, 20},     {24, 64, 9, 100, 4, 1, 64},
    {128, 256, 4, 512, 2, 1, 8}, {16, 128, 40, 160, 2, 1, 8}, {33, 0, 0, 65, 6, 3, 24},
    {16, 64, 2, 96, 40, 1, 8},   {12, 48, 3, 80, 4, 2, 256},
};

// Random q [total, n_heads * head_dim]; k, v [total, n_kv_heads * head_dim].
struct AttentionInputs {
  Floats q, k, v;
  AttentionInputs(const Shape& s, int total, uint32_t seed)
      : q(noise(size_t(total * s.n_heads * s.head_dim), seed)),
        k(noise(size_t(total * s.n_kv_heads * s.head_dim), seed + 1)),
        v(noise(k.size(), seed + 2)) {}
};

constexpr Type kCacheTypes[] = {Type::f32, Type::f16};

// What a cache of `type` makes of k and v. Attention over that differs from the truth by the
// rounding of its sums alone, so that bounds are the same for all types.
inline AttentionInputs rounded(AttentionInputs in, Type type) {
  if (type == Type::f32) return in;
  for (float& x : in.k) x = f16_to_float(float_to_f16(x));
  for (float& x : in.v) x = f16_to_float(float_to_f16(x));
  return in;
}

// The positions that position p attends to.
inline std::set<int> attended(const Shape& s, int p) {
  std::set<int> seen;
  for (int j = 0; j <= p; j++) {
    bool hop = false;
    for (int64_t d = 1; d <= s.max_hop; d *= 2) hop |= d >= s.window && p - j == d;
    if (s.window == 0 || p - j < s.window || hop || j < s.sinks) seen.insert(j);
  }
  return seen;
}

// The output for positions `first` .. total-1.
inline Floats true_attention(const Shape& s, const AttentionInputs& in, int total, int first = 0) {
  const int dim = s.head_dim, width = s.n_kv_heads * dim;
  Floats out;
  for (int p = first; p < total; p++) {
    const std::set<int> seen = attended(s, p);
    for (int h = 0; h < s.n_heads; h++) {
      const int kv = h / (s.n_heads / s.n_kv_heads) * dim;
      std::vector<double> sum(size_t(dim), 0.0);
      double total_weight = 0;
      for (const int j : seen) {
        double score = 0;
        for (int c = 0; c < dim; c++)
          score += double(in.q[size_t((p * s.n_heads + h) * dim + c)]) *
                   in.k[size_t(j * width + kv + c)];
        const double weight = std::exp(score / std::sqrt(double(dim)));
        total_weight += weight;
        for (int c = 0; c < dim; c++) sum[size_t(c)] += weight * in.v[size_t(j * width + kv + c)];
      }
      for (const double value : sum) out.push_back(float(value / total_weight));
    }
  }
  return out;
}

}  // namespace ringside
