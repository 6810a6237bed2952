#include <cmath>
#include <set>

#include "support.h"

namespace ringside {
namespace {

// Seen at most, over the shapes and batches below: 8e-14.
constexpr double kMaxError = 1e-12;

struct Shape {
  int window, max_hop, sinks, slots, n_heads, n_kv_heads, head_dim;
};

struct Cache {
  Floats k, v;
  KvCache view;
  explicit Cache(const Shape& s)
      : k(size_t(s.slots + s.sinks) * size_t(s.n_kv_heads * s.head_dim), NAN),
        v(k),
        view{k.data(), v.data(), s.slots, s.sinks, s.window, s.max_hop, s.n_kv_heads, s.head_dim} {}
};

// Softmax in double over the union of the sets that the contract names, from unbounded memory.
Floats brute_force(const Shape& s, const Floats& q, const Floats& k, const Floats& v, int total) {
  const int dim = s.head_dim, width = s.n_kv_heads * dim;
  Floats out;
  for (int p = 0; p < total; p++)
    for (int h = 0; h < s.n_heads; h++) {
      std::set<int> seen;
      for (int j = 0; j <= p; j++) {
        bool hop = false;
        for (int64_t d = 1; d <= s.max_hop; d *= 2) hop |= d >= s.window && p - j == d;
        if (s.window == 0 || p - j < s.window || hop || j < s.sinks) seen.insert(j);
      }
      const int kv = h / (s.n_heads / s.n_kv_heads) * dim;
      std::vector<double> sum(size_t(dim), 0.0);
      double total_weight = 0;
      for (const int j : seen) {
        double score = 0;
        for (int c = 0; c < dim; c++)
          score += double(q[size_t((p * s.n_heads + h) * dim + c)]) * k[size_t(j * width + kv + c)];
        const double weight = std::exp(score / std::sqrt(double(dim)));
        total_weight += weight;
        for (int c = 0; c < dim; c++) sum[size_t(c)] += weight * v[size_t(j * width + kv + c)];
      }
      for (const double value : sum) out.push_back(float(value / total_weight));
    }
  return out;
}

struct Inputs {
  Floats q, k, v;
  Inputs(const Shape& s, int total, uint32_t seed)
      : q(noise(size_t(total * s.n_heads * s.head_dim), seed)),
        k(noise(size_t(total * s.n_kv_heads * s.head_dim), seed + 1)),
        v(noise(k.size(), seed + 2)) {}
};

// All positions, `batch` at a time.
Floats attend(Backend& backend, const Shape& s, const Inputs& in, int total, int batch) {
  Cache cache(s);
  const int width = s.n_kv_heads * s.head_dim, wide = s.n_heads * s.head_dim;
  Floats out(size_t(total * wide));
  for (int p = 0; p < total; p += batch) {
    const int n = std::min(batch, total - p);
    backend.store(cache.view, in.k.data() + p * width, in.v.data() + p * width, n, width, p);
    backend.attention(out.data() + p * wide, in.q.data() + p * wide, cache.view, n, wide, s.n_heads,
                      p);
  }
  return out;
}

TEST_CASE("attention sees exactly the positions of the ring") {
  const Shape shapes[] = {
      {0, 0, 0, 200, 2, 1, 16},    {1, 64, 0, 96, 2, 2, 8},     {16, 32, 4, 64, 4, 2, 16},
      {7, 33, 3, 61, 3, 1, 12},    {5, 4, 1, 37, 2, 2, 20},     {24, 64, 9, 100, 4, 1, 64},
      {128, 256, 4, 512, 2, 1, 8}, {16, 128, 40, 160, 2, 1, 8}, {33, 0, 0, 65, 6, 3, 24},
      {16, 64, 2, 96, 40, 1, 8},   {12, 48, 3, 80, 4, 2, 256},
  };
  double worst = 0;
  for (const std::string& name : available_backends()) {
    const auto backend = ready(name, 2);
    for (const Shape& s : shapes) {
      const int total = s.window == 0 ? s.slots : std::max(2 * s.slots + 5, 150);
      const Inputs in(s, total, uint32_t(s.slots));
      const Floats expected = brute_force(s, in.q, in.k, in.v, total);
      for (const int batch : {1, 3, 26}) {
        const double error = nmse(attend(*backend, s, in, total, batch), expected);
        CAPTURE(name);
        CAPTURE(s.window);
        CAPTURE(batch);
        CHECK(error < kMaxError);
        worst = std::max(worst, error);
      }
    }
  }
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("a ring whose window covers everything is full attention") {
  const Shape full{0, 0, 0, 150, 4, 2, 32}, ring{150, 256, 4, 320, 4, 2, 32};
  const Inputs in(full, 150, 9);
  for (const std::string& name : available_backends()) {
    const auto backend = ready(name, 2);
    for (const int batch : {1, 50})
      CHECK(nmse(attend(*backend, ring, in, 150, batch), attend(*backend, full, in, 150, batch)) <
            kMaxError);
  }
}

TEST_CASE("threads do not change attention") {
  const Shape ring{128, 256, 4, 512, 4, 2, 64}, full{0, 0, 0, 700, 4, 2, 64};
  const Inputs in(ring, 700, 4);
  for (const std::string& name : others())
    for (const Shape& s : {ring, full})
      CHECK(attend(*ready(name, 1), s, in, 700, 200) == attend(*ready(name, 3), s, in, 700, 200));
}

}  // namespace
}  // namespace ringside
