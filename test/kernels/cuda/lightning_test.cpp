#include <algorithm>
#include <cmath>

#include "../support.h"
#include "ops.h"
#include "orders.h"

namespace ringside {
namespace {

// Seen at most, over the shapes and batches below, outputs and state, with whole floats: 1.4e-12,
// where 150 tokens come one by one and each multiplies by a rounded exp(-decay); else 1e-13.
constexpr double kMaxError = 1e-11;
// With floats in two TF32 parts: the same; in chunks 5.4e-13.
constexpr double kMaxSplitError = 1e-11;
// With floats rounded to TF32: 2.6e-7. That is 2^-11 squared.
constexpr double kMaxRoundedError = 1e-6;

struct Way {
  bool mma, split;
  double max_error;
};
constexpr Way kWays[] = {
    {false, true, kMaxError}, {true, true, kMaxSplitError}, {true, false, kMaxRoundedError}};

struct Case {
  int heads, dim;
  Floats decay;
};

struct Result {
  Floats out, state;
};

// Rows of q, k and v side by side, as in a fused projection; and the state at first.
struct Inputs {
  int width, stride;
  Floats qkv, state;
  Inputs(const Case& c, int total)
      : width(c.heads * c.dim),
        stride(3 * width),
        qkv(noise(size_t(total * stride), 11)),
        state(noise(size_t(width * c.dim), 8)) {}
};

// The recurrence in double.
Result truth(const Case& c, const Inputs& in, int total) {
  Result result;
  result.out.resize(size_t(total * in.width));
  for (int h = 0; h < c.heads; h++) {
    std::vector<double> s(in.state.begin() + h * c.dim * c.dim,
                          in.state.begin() + (h + 1) * c.dim * c.dim);
    const double decay = std::exp(-double(c.decay[size_t(h)]));
    for (int i = 0; i < total; i++) {
      const float* q = in.qkv.data() + i * in.stride + h * c.dim;
      const float *k = q + in.width, *v = k + in.width;
      std::vector<double> sum(size_t(c.dim), 0.0);
      for (int a = 0; a < c.dim; a++)
        for (int b = 0; b < c.dim; b++) {
          double& value = s[size_t(a * c.dim + b)];
          value = decay * value + double(k[a]) * v[b];
          sum[size_t(b)] += q[a] * value;
        }
      for (int b = 0; b < c.dim; b++)
        result.out[size_t(i * in.width + h * c.dim + b)] =
            float(sum[size_t(b)] / std::sqrt(double(c.dim)));
    }
    result.state.insert(result.state.end(), s.begin(), s.end());
  }
  return result;
}

// `total` tokens, `batch` at a time; recorded: only then done.
Result run(const Case& c, const Inputs& in, int total, int batch, const Way& way,
           bool outputs = true, bool recorded = false) {
  Device device(0);
  device.queue().set_mma(way.mma);
  device.queue().set_split_tf32(way.split);
  Result result{Floats(size_t(total * in.width), NAN), in.state};
  const auto put = [&](const Floats& x) {
    float* memory = device.allocate_array<float>(x.size());
    device.upload(memory, x.data(), x.size() * sizeof(float));
    return memory;
  };
  float *qkv = put(in.qkv), *out = put(result.out), *s = put(in.state), *decay = put(c.decay);
  void* scratch = device.allocate(cuda::lightning_scratch_bytes(c.heads, c.dim, batch));
  const LinearState state{s, decay, c.heads, c.dim};
  if (recorded) device.begin_recording();
  for (int p = 0; p < total; p += batch) {
    const int n = std::min(batch, total - p);
    const float *q = qkv + p * in.stride, *k = q + in.width, *v = k + in.width;
    if (outputs) {
      cuda::lightning(device.queue(), out + p * in.width, q, k, v, state, n, in.stride, scratch);
    } else {
      cuda::advance(device.queue(), k, v, state, n, in.stride);
    }
  }
  if (recorded) device.replay(device.end_recording());
  device.download(result.out.data(), out, result.out.size() * sizeof(float));
  device.download(result.state.data(), s, result.state.size() * sizeof(float));
  for (void* memory : {(void*)qkv, (void*)out, (void*)s, (void*)decay, scratch})
    device.release(memory);
  return result;
}

double error_of(const Result& result, const Result& expected) {
  return std::max(nmse(result.out, expected.out), nmse(result.state, expected.state));
}

// From what is remembered almost for good to what is forgotten at once.
Floats decays(int heads) {
  const Floats all = {0.3f, 1e-5f, 2.0f, 90.0f, 0.01f};
  return Floats(all.begin(), all.begin() + heads);
}

TEST_CASE("cuda lightning is the recurrence, however many tokens come at once") {
  double worst[3] = {};
  unsigned order = 0;
  for (const auto& [heads, dim] : {std::pair{5, 8}, {4, 12}, {3, 16}, {2, 64}, {1, 128}, {2, 33}}) {
    const Case c{heads, dim, decays(heads)};
    for (const int n : {1, 2, 5, 31, 64, 65, 129, 300}) {
      if (dim >= 64 && n != 2 && n != 65 && n != 129) continue;  // to save time
      const Inputs in(c, n);
      const Result expected = truth(c, in, n);
      emulator::set_order(order++ % 4);
      for (int way = 0; way < 3; way++) {
        if (n <= 4 && way > 0) continue;    // the same for all
        if (way == 2 && n != 65) continue;  // to save time, as above
        const Result result = run(c, in, n, n, kWays[way]);
        const double error = error_of(result, expected);
        const double advanced = nmse(run(c, in, n, n, kWays[way], false).state, expected.state);
        CAPTURE(dim);
        CAPTURE(n);
        CAPTURE(way);
        CHECK(error < kWays[way].max_error);
        CHECK(advanced < kWays[way].max_error);
        worst[way] = std::max({worst[way], error, advanced});
      }
    }
  }
  emulator::set_order(0);
  MESSAGE("largest NMSE: " << worst[0] << ", split " << worst[1] << ", rounded " << worst[2]);
}

TEST_CASE("cuda lightning does not depend on how tokens are batched") {
  const Case c{3, 20, decays(3)};
  const Inputs in(c, 150);
  const Result expected = truth(c, in, 150);
  for (const Way& way : kWays)
    for (const int batch : {1, 4, 7, 64, 66, 150}) {
      CAPTURE(batch);
      CHECK(error_of(run(c, in, 150, batch, way), expected) < way.max_error);
    }
}

TEST_CASE("cuda lightning takes heads of any size") {
  for (const int dim : {1, 7, 80, 130, 256}) {
    const Case c{1, dim, {0.05f}};
    const Inputs in(c, 70);
    const Result expected = truth(c, in, 70);
    for (const Way& way : kWays)
      for (const int batch : {2, 70}) {
        CAPTURE(dim);
        CAPTURE(batch);
        CHECK(error_of(run(c, in, 70, batch, way), expected) < way.max_error);
      }
  }
}

TEST_CASE("cuda lightning is done when it is replayed") {
  const Case c{2, 16, decays(2)};
  const Inputs in(c, 100);
  for (const int batch : {1, 30, 100}) {
    const Result done = run(c, in, 100, batch, kWays[1]);
    const Result recorded = run(c, in, 100, batch, kWays[1], true, true);
    CHECK(recorded.out == done.out);
    CHECK(recorded.state == done.state);
  }
}

TEST_CASE("cuda lightning of no tokens does nothing") {
  const Case c{2, 16, decays(2)};
  Device device(0);
  cuda::lightning(device.queue(), nullptr, nullptr, nullptr, nullptr, {}, 0, 0, nullptr);
  cuda::advance(device.queue(), nullptr, nullptr, {}, 0, 0);
}

}  // namespace
}  // namespace ringside
