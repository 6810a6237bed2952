// Drawing on the device against the host's sampler.
#include <algorithm>
#include <cmath>

#include "cuda_backend.h"
#include "sampler.h"
#include "support.h"

namespace ringside {
namespace {

// What `draws` draws from the same logits are on the device; the last two are asked for in time.
std::vector<Choice> draw(cuda::Cuda& device, const Floats& logits, const Sampling& sampling,
                         int draws) {
  auto* there = static_cast<float*>(device.allocate(logits.size() * sizeof(float)));
  auto* next = static_cast<Token*>(device.allocate(sizeof(Token)));
  device.upload(there, logits.data(), logits.size() * sizeof(float));
  device.begin_sampling(sampling);
  std::vector<Choice> choices;
  for (int i = 0; i < draws; i++) {
    device.sample(next, there, int(logits.size()));
    choices.push_back(device.choice(i));
    Token token = -1;
    device.download(&token, next, sizeof token);
    CHECK(token == choices.back().token);
  }
  device.release(there);
  device.release(next);
  return choices;
}

void check_same(const Floats& logits, const Sampling& sampling, int draws) {
  cuda::Cuda device(0);
  Sampler sampler(sampling);
  for (const Choice& choice : draw(device, logits, sampling, draws)) {
    const Choice expected = sampler.sample(logits);
    CHECK(choice.finite);
    CHECK(choice.token == expected.token);
    CHECK(choice.log_probability == doctest::Approx(expected.log_probability).epsilon(1e-5));
  }
}

TEST_CASE("the device draws what the host draws, at any temperature and top-p") {
  // Few: a draw's blocks of 1,024 threads take the emulator a second.
  for (const size_t size : {1, 31, 3003})
    for (const float temperature : {0.0f, 0.4f, 3.0f})
      for (const float top_p : {1.0f, 0.8f, 0.01f}) {
        if (temperature == 0.0f && top_p < 1.0f) continue;
        CAPTURE(size);
        CAPTURE(temperature);
        CAPTURE(top_p);
        check_same(noise(size, uint32_t(size), 3.0f), {temperature, top_p, 7 + size},
                   size == 3003 ? 2 : 1);
      }
}

TEST_CASE("the device mixes as the host does") {
  for (const size_t size : {1, 33, 3003}) {
    const Floats logits = noise(size, uint32_t(size), 3.0f);
    std::vector<Candidate> copied;
    for (size_t i = 0; i < std::min(size, kMostMixed); i++)
      copied.push_back({1.0f / float(std::min(size, kMostMixed)), Token(size - 1 - i)});
    Floats expected = logits;
    mix(expected, copied, 0.3f);
    cuda::Cuda device(0);
    auto* there = static_cast<float*>(device.allocate(size * sizeof(float)));
    device.upload(there, logits.data(), size * sizeof(float));
    device.mix(there, int(size), copied, 0.3f);
    Floats mixed(size);
    device.download(mixed.data(), there, size * sizeof(float));
    for (size_t i = 0; i < size; i++) CHECK(mixed[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    device.release(there);
  }
}

TEST_CASE("equal logits are drawn in the order of their ids") {
  Floats logits(3000, 1.5f);
  check_same(logits, {0.0f, 1.0f, 0}, 1);
  for (size_t i = 0; i < logits.size(); i += 3) logits[i] = 2.0f;
  check_same(logits, {0.0f, 1.0f, 0}, 1);
  check_same(logits, {1.0f, 1.0f, 3}, 3);
  check_same(logits, {1.0f, 0.6f, 4}, 3);
}

TEST_CASE("one token that has all the probability is drawn") {
  Floats logits(700, -1e4f);
  logits[491] = 50.0f;
  check_same(logits, {0.0f, 1.0f, 1}, 1);
  check_same(logits, {1.0f, 0.9f, 1}, 2);
}

TEST_CASE("logits that are no numbers are told, wherever they are") {
  for (const float bad : {float(NAN), float(INFINITY), float(-INFINITY)})
    for (const size_t at : {0, 640, 1233}) {
      Floats logits = noise(1234, 5);
      logits[at] = bad;
      cuda::Cuda device(0);
      for (const float temperature : {0.0f, 1.0f}) {
        const Choice choice = draw(device, logits, {temperature, 0.9f, 3}, 1)[0];
        CHECK(!choice.finite);
        CHECK(choice.token == 0);
      }
    }
}

}  // namespace
}  // namespace ringside
