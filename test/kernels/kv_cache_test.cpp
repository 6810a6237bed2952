// What a cache in float16 holds of what it is given.
#include <cmath>
#include <cstring>
#include <limits>

#include "support.h"

namespace ringside {
namespace {

// The largest float16, and what would be an infinity if it were rounded as IEEE 754 says.
constexpr float kMost = 65504.0f, kBeyond = 65520.0f;

// What one token's k becomes, at a position that also is a sink: both copies.
std::vector<uint16_t> stored(Backend& backend, const Floats& x) {
  constexpr int kSlots = 3, kPosition = 1;
  const int width = int(x.size());
  const size_t size = size_t(kSlots + 2) * x.size();
  std::vector<uint16_t> k(size, 0), v(size, 0);
  const KvCache cache{k.data(), v.data(), kSlots, 2, 2, 0, 1, width, Type::f16};
  backend.store(cache, x.data(), x.data(), 1, width, kPosition);
  CHECK(k == v);
  const auto row = [&](int slot) {
    return std::vector<uint16_t>(k.begin() + slot * width, k.begin() + (slot + 1) * width);
  };
  CHECK(row(kPosition) == row(kSlots + kPosition));
  return row(kPosition);
}

void check(const Floats& x, const std::vector<uint16_t>& expected) {
  for (const std::string& name : tested_backends()) {
    CAPTURE(name);
    CHECK(stored(*ready(name, 1), x) == expected);
  }
}

TEST_CASE("every float16 is stored as it is") {
  Floats x;
  std::vector<uint16_t> expected;
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    const float value = f16_to_float(uint16_t(bits));
    if (std::isnan(value)) continue;  // some NaN
    x.push_back(value);
    expected.push_back(uint16_t(bits));
  }
  check(x, expected);
}

TEST_CASE("between two float16 the nearest is stored, and the even one in the middle") {
  Floats x;
  std::vector<uint16_t> expected;
  for (const uint16_t sign : {0, 0x8000})
    for (uint16_t bits = 0; bits < 0x7bff; bits++) {
      const uint16_t low = sign | bits, high = uint16_t(low + 1), even = bits % 2 == 0 ? low : high;
      const float middle = (f16_to_float(low) + f16_to_float(high)) / 2;
      for (const auto& [value, nearest] :
           {std::pair(std::nextafter(middle, f16_to_float(low)), low),
            {middle, even},
            {std::nextafter(middle, f16_to_float(high)), high}}) {
        x.push_back(value);
        expected.push_back(nearest);
      }
    }
  check(x, expected);
}

TEST_CASE("what is finite stays finite, and what is not does not become so") {
  const float infinite = std::numeric_limits<float>::infinity();
  const float least = std::numeric_limits<float>::denorm_min();
  check({kMost, kBeyond, std::nextafter(kBeyond, 0.0f), 1e30f, std::numeric_limits<float>::max(),
         infinite, least, 0.0f},
        {0x7bff, 0x7bff, 0x7bff, 0x7bff, 0x7bff, 0x7c00, 0, 0});
  check({-kMost, -kBeyond, -1e30f, -infinite, -least}, {0xfbff, 0xfbff, 0xfbff, 0xfc00, 0x8000});
  for (const std::string& name : tested_backends())
    for (const int at : {0, 7, 16, 18}) {  // among those of a register, and behind the last
      Floats x(19, 1.0f);
      x[size_t(at)] = NAN;
      const auto bits = stored(*ready(name, 1), x);
      CAPTURE(name);
      CAPTURE(at);
      CHECK(std::isnan(f16_to_float(bits[size_t(at)])));
    }
}

// Of what is rotated and then stored, both backends may be next to each other's rounding.
TEST_CASE("what is rotated and stored is what is stored of what is rotated") {
  constexpr int kHeads = 3, kKvHeads = 2, kDim = 20, kStride = (kHeads + 2 * kKvHeads) * kDim + 5;
  constexpr int kTokens = 6, kSlots = 7, kSinks = 2, kPosition = 4;
  const Floats weight = noise(kDim, 2), frequency(kDim / 2, 0.3f);
  const Rope rope{frequency.data(), kDim};
  for (const std::string& name : tested_backends()) {
    const auto backend = ready(name, 2);
    std::vector<uint16_t> k(size_t(kSlots + kSinks) * kKvHeads * kDim, 0), v = k, k2 = k, v2 = k;
    const KvCache cache{k.data(), v.data(), kSlots, kSinks, 3, 0, kKvHeads, kDim, Type::f16};
    const KvCache other{k2.data(), v2.data(), kSlots, kSinks, 3, 0, kKvHeads, kDim, Type::f16};
    for (const int position : {0, kPosition}) {
      Floats qkv = noise(kTokens * kStride, 1);
      backend->norm_rope_store(cache, qkv.data(), weight.data(), weight.data(), kTokens, kStride,
                               kHeads, rope, 1e-6f, position);
      const float* keys = qkv.data() + kHeads * kDim;
      backend->store(other, keys, keys + kKvHeads * kDim, kTokens, kStride, position);
    }
    CAPTURE(name);
    CHECK(k == k2);
    CHECK(v == v2);
  }
}

TEST_CASE("rows of float16 are kept and given back as they are") {
  constexpr int kSlots = 12, kRows = 4, kEvery = 5;
  for (const int width : {5, 6, 16})  // of 2, 4 and 16 bytes' alignment
    for (const std::string& name : tested_backends()) {
      const auto backend = ready(name, 1);
      std::vector<uint16_t> k(size_t(kSlots * width), 0), v = k;
      const KvCache cache{k.data(), v.data(), kSlots, 0, 3, 4, 1, width, Type::f16};
      const int64_t floats = kRows * width;  // of k and v, two values in a float's place
      Floats kept(size_t(4 * floats), 0.0f);
      const Snapshots snapshots{kept.data(), floats, kEvery};
      for (int p = 0; p < 10; p++) {
        const Floats x = noise(size_t(width), uint32_t(p)), y = noise(x.size(), uint32_t(50 + p));
        backend->store(cache, x.data(), y.data(), 1, width, p);
        backend->save(snapshots, cache, kRows, p + 1);
      }
      const auto k_before = k, v_before = v;
      std::fill(k.begin() + 6 * width, k.begin() + 10 * width, uint16_t(0x7e00));
      std::fill(v.begin() + 6 * width, v.begin() + 10 * width, uint16_t(0x7e00));
      backend->load(snapshots, cache, kRows, 6, 10);
      CAPTURE(name);
      CAPTURE(width);
      CHECK(k == k_before);
      CHECK(v == v_before);
    }
}

}  // namespace
}  // namespace ringside
