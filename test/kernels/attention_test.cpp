#include <cmath>

#include "attention_truth.h"

namespace ringside {
namespace {

// Seen at most, over the shapes and batches below: 8e-14.
constexpr double kMaxError = 1e-12;

struct Cache {
  KvCache view;
  std::vector<std::byte> k, v;
  Cache(const Shape& s, Type type)
      : view{nullptr,   nullptr,      s.slots,    s.sinks, s.window,
             s.max_hop, s.n_kv_heads, s.head_dim, type},
        k(size_t((s.slots + s.sinks) * view.row_bytes()), std::byte{0xff}),  // NaN in both types
        v(k) {
    view.k = k.data();
    view.v = v.data();
  }
};

// All positions, `batch` at a time.
Floats attend(Backend& backend, const Shape& s, Type type, const AttentionInputs& in, int total,
              int batch) {
  Cache cache(s, type);
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
  double worst = 0;
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 2);
    for (const Shape& s : kAttentionShapes)
      for (const Type type : kCacheTypes) {
        const int total = s.window == 0 ? s.slots : std::max(2 * s.slots + 5, 150);
        const AttentionInputs in(s, total, uint32_t(s.slots));
        const Floats expected = true_attention(s, rounded(in, type), total);
        for (const int batch : {1, 3, 26}) {
          const double error = nmse(attend(*backend, s, type, in, total, batch), expected);
          CAPTURE(name);
          CAPTURE(int(type));
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
  const AttentionInputs in(full, 150, 9);
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 2);
    for (const Type type : kCacheTypes)
      for (const int batch : {1, 50})
        CHECK(nmse(attend(*backend, ring, type, in, 150, batch),
                   attend(*backend, full, type, in, 150, batch)) < kMaxError);
  }
}

TEST_CASE("threads do not change attention") {
  const Shape ring{128, 256, 4, 512, 4, 2, 64}, full{0, 0, 0, 700, 4, 2, 64};
  const AttentionInputs in(ring, 700, 4);
  for (const std::string& name : others())
    for (const Shape& s : {ring, full})
      for (const Type type : kCacheTypes)
        CHECK(attend(*ready(name, 1), s, type, in, 700, 200) ==
              attend(*ready(name, 3), s, type, in, 700, 200));
}

}  // namespace
}  // namespace ringside
