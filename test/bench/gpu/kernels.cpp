// The kernels alone: recorded launches over more memory than any cache holds.
#include <algorithm>
#include <cstring>

#include "../../kernels/weights.h"
#include "ops.h"
#include "options.h"

namespace ringside::bench {

namespace {

constexpr size_t kRotation = size_t(200)
                             << 20;  // bytes that launches go through before they repeat

int copies_for(size_t bytes, bool tiny) {
  return tiny ? 2 : int(std::clamp<size_t>((kRotation + bytes - 1) / bytes, 1, 256));
}

// ---- products ----

// Random weights: a few rows, repeated.
struct HostMatrix {
  Weights some;
  std::vector<uint8_t> data, scales;
  Matrix matrix;

  HostMatrix(Type type, int rows, int cols) : some(type, std::min(rows, 256), cols, 1) {
    const int repeat = rows / some.matrix.rows;
    const auto repeated = [&](const void* from, size_t bytes) {
      std::vector<uint8_t> all(bytes * size_t(repeat));
      for (int i = 0; i < repeat; i++) std::memcpy(all.data() + size_t(i) * bytes, from, bytes);
      return all;
    };
    matrix = some.matrix;
    matrix.rows = rows;
    data = repeated(some.data.data(), some.data.size());
    matrix.data = data.data();
    if (matrix.scales == nullptr) return;
    const size_t bytes = some.half_scales.size() * 2 + some.float_scales.size() * 4;
    scales = repeated(matrix.scales, bytes);
    matrix.scales = scales.data();
  }
};

// One matrix in the device's memory, several times.
class Copies {
 public:
  Copies(Device& device, const Matrix& host, int count)
      : each_(cuda::placed_bytes(host)), memory_(device, each_ * size_t(count)) {
    const Array<uint8_t> staging(device, size_t(16) << 20);
    const Matrix placed =
        cuda::place(device, host, memory_.data(), staging.data(), staging.bytes());
    device.synchronize();
    for (int i = 0; i < count; i++) {
      if (i > 0) device.copy(memory_.data() + size_t(i) * each_, memory_.data(), each_);
      const auto moved = [&](const auto* at) {
        if (at == nullptr) return at;
        const auto* bytes = reinterpret_cast<const uint8_t*>(at) + size_t(i) * each_;
        return static_cast<decltype(at)>(static_cast<const void*>(bytes));
      };
      Matrix& copy = all.emplace_back(placed);
      copy.data = moved(static_cast<const uint8_t*>(placed.data));
      copy.scales = moved(static_cast<const uint8_t*>(placed.scales));
      copy.zeros = moved(placed.zeros);
      copy.bias = moved(placed.bias);
    }
    device.synchronize();
  }
  size_t bytes() const { return each_; }
  std::vector<Matrix> all;

 private:
  size_t each_;
  Array<uint8_t> memory_;
};

// Rows of activations in all forms.
class Inputs {
 public:
  Inputs(Device& device, int n, int cols)
      : f32_(device, noise(size_t(n) * size_t(cols), 2)),
        q_(device, f32_.count()),
        groups_(device, f32_.count() / kGroup),
        bf16_(device, f32_.count()) {
    view = {f32_.data(), q_.data(), groups_.data(), bf16_.data(), cols};
    cuda::prepare(device.queue(), view, n, cuda::kIntegers | cuda::kBf16);
    device.synchronize();
  }
  cuda::Activations view;

 private:
  Array<float> f32_;
  Array<int8_t> q_;
  Array<float2> groups_;
  Array<uint16_t> bf16_;
};

void bench_type(Bench& bench, Device& device, Type type, int rows, int cols) {
  const bool tiny = bench.options.tiny;
  const HostMatrix host(type, rows, cols);
  const Copies copies(device, host.matrix, copies_for(cuda::placed_bytes(host.matrix), tiny));
  std::vector<Value> row = {text("type", name_of(type)),
                            text("shape", std::to_string(rows) + " x " + std::to_string(cols)),
                            number("megabytes", double(copies.bytes()) / 1e6)};
  const std::vector<int> batches =
      tiny ? std::vector<int>{1, 9, 20} : std::vector<int>{1, 512, 2048};
  for (const int n : batches) {
    const Inputs x(device, n, cols);
    const Array<float> y(device, size_t(n) * size_t(rows));
    // Many tokens: the weights are no longer what is waited for.
    const size_t used = n == 1 ? copies.all.size() : std::min<size_t>(copies.all.size(), 4);
    const Graph graph = record(device, [&] {
      for (size_t i = 0; i < used; i++) {
        cuda::multiply(device.queue(), y.data(), {&copies.all[i], 1}, x.view, n, rows);
      }
    });
    const Timing timing = measure(
        device, [&] { device.replay(graph); }, tiny ? 0.0 : 0.1, tiny ? 1 : 5);
    const double seconds = timing.median / double(used);
    const double flops = 2.0 * n * rows * double(cols) / seconds;
    const double rate = double(copies.bytes()) / seconds;
    const std::string key = "n" + std::to_string(n);
    if (n == 1) {
      row.push_back(number(key + "Microseconds", seconds * 1e6));
      row.push_back(number(key + "GigabytesPerSecond", rate / 1e9));
      row.push_back(percent(key + "OfCopyBandwidth", bench.of_copy(rate)));
    } else {
      row.push_back(hidden(number(key + "Microseconds", seconds * 1e6)));
      row.push_back(number(key + "Teraflops", flops / 1e12));
      row.push_back(percent(key + "OfBf16Rate", bench.of_bf16(flops)));
    }
  }
  bench.report.row(row);
}

void bench_products(Bench& bench, Device& device) {
  const bool tiny = bench.options.tiny;
  bench.report.table(
      "products", "Products alone",
      "y = x w^T, recorded launches through copies of the weights that fill 200 MB, activations "
      "rounded before; by events, the median. MB and GB/s: weights with their scales.",
      {"type", "rows x columns", "MB", "n 1: us", "GB/s", "of copy", "n 512: TFLOP/s", "of BF16",
       "n 2,048: TFLOP/s", "of BF16"});
  struct Size {
    int rows, cols;
  };
  const std::vector<Size> sizes =
      tiny ? std::vector<Size>{{64, 256}} : std::vector<Size>{{4096, 4096}, {4096, 14336}};
  for (const auto& [rows, cols] : sizes) {
    for (const Type type : kAllTypes) {
      if (!bench.has_time(tiny ? 0 : 6, "products of " + name_of(type))) return;
      bench_type(bench, device, type, rows, cols);
    }
  }
}

// ---- attention over one layer, and its state ----

void bench_full_attention(Bench& bench, Device& device) {
  const bool tiny = bench.options.tiny;
  bench.report.table("attentionDecoding", "One token of full attention alone",
                     "Keys and values are float32; caches that fill 200 MB or more, in turns.",
                     {"heads / kv heads / channels", "context", "us", "MB", "GB/s", "of copy"});
  struct Heads {
    int heads, kv_heads, dim;
  };
  for (const auto& [heads, kv_heads, dim] :
       {Heads{28, 4, 128}, Heads{32, 8, 128}, Heads{16, 4, 128}, Heads{12, 2, 128}}) {
    for (const int context : tiny ? std::vector<int>{100} : std::vector<int>{4096, 32768}) {
      const size_t rows = size_t(context) * size_t(kv_heads * dim);
      const size_t bytes = 2 * rows * sizeof(float);
      const int copies = copies_for(bytes, tiny);
      const Array<float> memory(device, 2 * rows * size_t(copies));
      device.clear(memory.data(), memory.bytes());
      const Array<float> q(device, noise(size_t(heads * dim), 1)), out(device, q.count());
      const size_t scratch_bytes = cuda::attention_scratch_bytes(dim, device.queue().processors());
      const Array<char> scratch(device, scratch_bytes);
      device.clear(scratch.data(), scratch_bytes);
      const Array<int> base(device, std::vector<int>{0});
      const Graph graph = record(device, [&] {
        for (int i = 0; i < copies; i++) {
          float* k = memory.data() + 2 * rows * size_t(i);
          const KvCache cache{k, k + rows, context, 0, 0, 0, kv_heads, dim};
          cuda::attention(device.queue(), out.data(), q.data(), cache, 1, heads * dim, heads,
                          {base.data(), context - 1, context}, scratch.data());
        }
      });
      const Timing timing = measure(
          device, [&] { device.replay(graph); }, tiny ? 0.0 : 0.15, tiny ? 1 : 5);
      const double seconds = timing.median / copies, rate = double(bytes) / seconds;
      bench.report.row({text("heads", std::to_string(heads) + " / " + std::to_string(kv_heads) +
                                          " / " + std::to_string(dim)),
                        integer("context", context), number("microseconds", seconds * 1e6),
                        number("megabytes", double(bytes) / 1e6),
                        number("gigabytesPerSecond", rate / 1e9),
                        percent("ofCopyBandwidth", bench.of_copy(rate))});
    }
  }
}

void bench_lightning(Bench& bench, Device& device) {
  const bool tiny = bench.options.tiny;
  bench.report.table(
      "lightning", "Lightning attention alone",
      "States are float32 and read and written once a call; they fill 200 MB, in "
      "turns. Operations: 4 heads channels^2 a token, as the recurrence has them.",
      {"heads x channels", "tokens", "us", "us a token", "state GB/s", "of copy", "TFLOP/s"});
  struct Heads {
    int heads, dim;
  };
  for (const auto& [heads, dim] : {Heads{16, 128}, Heads{32, 128}, Heads{4, 64}}) {
    for (const int n : tiny ? std::vector<int>{1, 20} : std::vector<int>{1, 128, 512}) {
      const int width = heads * dim, stride = 3 * width;
      const size_t each = size_t(width) * size_t(dim);
      const int copies =
          n > 1 ? std::min(8, copies_for(each * 4, tiny)) : copies_for(each * 4, tiny);
      const Array<float> states(device, each * size_t(copies));
      device.clear(states.data(), states.bytes());
      const Array<float> qkv(device, noise(size_t(n) * size_t(stride), 1));
      const Array<float> out(device, size_t(n) * size_t(width));
      const Array<float> decay(device, std::vector<float>(size_t(heads), 0.05f));
      const Array<char> scratch(device, cuda::lightning_scratch_bytes(heads, dim, n));
      const Graph graph = record(device, [&] {
        for (int i = 0; i < copies; i++) {
          const LinearState state{states.data() + each * size_t(i), decay.data(), heads, dim};
          cuda::lightning(device.queue(), out.data(), qkv.data(), qkv.data() + width,
                          qkv.data() + 2 * width, state, n, stride, scratch.data());
        }
      });
      const Timing timing = measure(
          device, [&] { device.replay(graph); }, tiny ? 0.0 : 0.1, tiny ? 1 : 5);
      const double seconds = timing.median / copies, rate = 2.0 * double(each) * 4 / seconds;
      bench.report.row({text("heads", std::to_string(heads) + " x " + std::to_string(dim)),
                        integer("tokens", n), number("microseconds", seconds * 1e6),
                        number("microsecondsPerToken", seconds * 1e6 / n),
                        number("stateGigabytesPerSecond", rate / 1e9),
                        percent("ofCopyBandwidth", bench.of_copy(rate)),
                        number("teraflops", 4.0 * double(each) * n / seconds / 1e12)});
    }
  }
}

}  // namespace

void bench_kernels(Bench& bench, Device& device) {
  bench_products(bench, device);
  if (bench.has_time(bench.options.tiny ? 0 : 10, "Attention alone")) {
    bench_full_attention(bench, device);
    bench_lightning(bench, device);
  }
}

}  // namespace ringside::bench
