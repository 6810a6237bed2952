#include <atomic>
#include <cstdlib>
#include <new>

#include "support.h"

namespace {
std::atomic<int64_t> allocations{0};
}

void* operator new(size_t size) {
  allocations++;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ringside {
namespace {

TEST_CASE("no operation allocates after reserve") {
  std::vector<Weights> weights;
  for (const Type type : kAllTypes) weights.emplace_back(type, 512, 256, 1);
  weights.emplace_back(Type::int4, 512, 224, 2, Layout{224, true, 0, true});
  weights.emplace_back(Type::f8, 512, 200, 2, Layout{kGroup, false, 128});
  const Weights gate(Type::int4, 64, 256, 3), down(Type::int4, 256, 64, 4);
  const std::vector<FeedForward> all(20, FeedForward{gate.matrix, gate.matrix, down.matrix});
  const int n = 200;
  Floats x = noise(n * 512, 5), y = noise(n * 768, 6), state(4 * 64 * 64), probabilities(n * 3);
  Floats k(516 * 128), v(516 * 128), decay(4, 0.1f), router_w = noise(20 * 256, 7);
  std::vector<int> chosen(n * 3);
  const std::vector<Token> tokens(n, 3);
  const KvCache cache{k.data(), v.data(), 512, 4, 128, 256, 2, 64};
  KvCache half = cache;
  half.type = Type::f16;
  const LinearState linear{state.data(), decay.data(), 4, 64};
  const Router router{
      router_w.data(), nullptr, nullptr, 20, 0, 256, 3, 4, 2, 1.0f, true, true, 0.5f, 2};
  const Rope rope{decay.data(), 8};
  for (const std::string& name : tested_backends()) {
    const auto b = ready(name, 2);
    const int64_t before = allocations;
    for (const int m : {1, n}) {
      for (const Weights& w : weights) {
        b->matmul(y.data(), w.matrix, x.data(), m);
        b->embed(y.data(), w.matrix, tokens.data(), m);
      }
      b->rmsnorm(y.data(), x.data(), router_w.data(), m, 256, 1e-6f);
      b->layernorm(y.data(), x.data(), router_w.data(), x.data(), m, 256, 1e-6f);
      b->gelu(y.data(), m * 256);
      b->norm_rope(x.data(), router_w.data(), m, 512, 4, 64, rope, 1e-6f, 0);
      b->store(cache, x.data(), y.data(), m, 256, 0);
      b->attention(y.data(), x.data(), cache, m, 512, 4, 0);
      b->store(half, x.data(), y.data(), m, 256, 0);
      b->attention(y.data(), x.data(), half, m, 512, 4, 0);
      b->lightning(y.data(), x.data(), x.data(), x.data(), linear, m, 256);
      b->advance(x.data(), x.data(), linear, m, 256);
      b->gated_group_norm(y.data(), x.data(), x.data(), router_w.data(), m, 256, 4, 1e-6f);
      b->route(chosen.data(), probabilities.data(), router, x.data(), m, nullptr, 0, m);
      b->experts(y.data(), {all, nullptr}, chosen.data(), probabilities.data(), 3, x.data(), m);
    }
    const int64_t after = allocations;  // before doctest allocates
    CAPTURE(name);
    CHECK(after == before);
  }
}

}  // namespace
}  // namespace ringside
