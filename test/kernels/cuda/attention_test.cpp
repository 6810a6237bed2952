#include <algorithm>
#include <cstring>

#include "../attention_truth.h"
#include "ops.h"
#include "orders.h"

namespace ringside {
namespace {

// Seen at most, over the shapes and batches below, with whole floats: 4.2e-13, for one head of 64
// in a context of 2,500.
constexpr double kMaxError = 2e-12;
// With floats in two TF32 parts: 9.3e-13. What is cut off there is 2^-21 of a product or so.
constexpr double kMaxSplitError = 5e-12;
// With floats rounded to TF32: 2.8e-7. That is 2^-11 squared.
constexpr double kMaxRoundedError = 1e-6;

// The cache as it is once positions 0 .. total-1 have been stored. What nobody wrote is NaN.
struct Cache {
  Floats k, v;

  // The bytes of one of them in a cache of `type`.
  static std::vector<std::byte> bytes(const Floats& x, Type type) {
    std::vector<std::byte> bytes(x.size() * size_t(row_bytes(type, 1)));
    for (size_t i = 0; i < x.size(); i++) {
      const uint16_t half = float_to_f16(x[i]);
      if (type == Type::f16) std::memcpy(bytes.data() + 2 * i, &half, sizeof half);
    }
    if (type == Type::f32) std::memcpy(bytes.data(), x.data(), bytes.size());
    return bytes;
  }
  Cache(const Shape& s, const AttentionInputs& in, int total)
      : k(size_t(s.slots + s.sinks) * size_t(s.n_kv_heads * s.head_dim), NAN), v(k) {
    const int width = s.n_kv_heads * s.head_dim;
    for (int p = 0; p < total; p++) {
      const auto put = [&](int row) {
        std::copy_n(in.k.begin() + p * width, width, k.begin() + row * width);
        std::copy_n(in.v.begin() + p * width, width, v.begin() + row * width);
      };
      put(p % s.slots);
      if (p < s.sinks) put(s.slots + p);
    }
  }
};

// A layer on the device, of which attention is asked again and again.
class Layer {
 public:
  Device device{0};

  Layer(const Shape& s, const AttentionInputs& in, int max_batch, Type type = Type::f32)
      : s_(s), in_(in), wide_(s.n_heads * s.head_dim) {
    const size_t scratch = cuda::attention_scratch_bytes(s.head_dim, device.queue().processors());
    view_ = {nullptr,   nullptr,      s.slots,    s.sinks, s.window,
             s.max_hop, s.n_kv_heads, s.head_dim, type};
    const size_t bytes = size_t((s.slots + s.sinks) * view_.row_bytes());
    view_.k = own(device.allocate(bytes));
    view_.v = own(device.allocate(bytes));
    q_ = array(size_t(max_batch * (wide_ + kGap)));
    out_ = array(size_t(max_batch * wide_));
    scratch_ = own(device.allocate(scratch));
    device.clear(scratch_, scratch);
    base_ = static_cast<int*>(own(device.allocate(sizeof(int))));
  }
  ~Layer() {
    for (void* memory : owned_) device.release(memory);
  }

  // What the n queries at `position` find, everything up to them being stored.
  Floats ask(int position, int n, int bound) {
    prepare(position, n);
    launch(n, bound);
    return answer(n);
  }

  void prepare(int position, int n) {
    const Cache cache(s_, in_, position + n);
    const auto k = Cache::bytes(cache.k, view_.type), v = Cache::bytes(cache.v, view_.type);
    device.upload(view_.k, k.data(), k.size());
    device.upload(view_.v, v.data(), v.size());
    const int base = position - kOffset;
    device.upload(base_, &base, sizeof base);
    Floats q;  // rows that lie apart, as in a fused projection
    for (int i = position; i < position + n; i++) {
      q.insert(q.end(), in_.q.begin() + i * wide_, in_.q.begin() + (i + 1) * wide_);
      q.insert(q.end(), size_t(kGap), NAN);
    }
    device.upload(q_, q.data(), q.size() * sizeof(float));
    const Floats poison(size_t(n * wide_), NAN);
    device.upload(out_, poison.data(), poison.size() * sizeof(float));
  }
  void launch(int n, int bound) {
    cuda::attention(device.queue(), out_, q_, view_, n, wide_ + kGap, s_.n_heads,
                    {base_, kOffset, bound}, scratch_);
  }
  Floats answer(int n) {
    Floats out(size_t(n * wide_));
    device.download(out.data(), out_, out.size() * sizeof(float));
    return out;
  }

 private:
  static constexpr int kGap = 3, kOffset = 5;

  void* own(void* memory) { return owned_.emplace_back(memory); }
  float* array(size_t size) {
    return static_cast<float*>(own(device.allocate(size * sizeof(float))));
  }

  Shape s_;
  const AttentionInputs& in_;
  int wide_;
  std::vector<void*> owned_;
  KvCache view_;
  float *q_, *out_;
  int* base_;
  void* scratch_;
};

struct Way {
  bool mma, split;
  double max_error;
};
constexpr Way kWays[] = {
    {false, true, kMaxError}, {true, true, kMaxSplitError}, {true, false, kMaxRoundedError}};

// Batches at the beginning, in the middle and where the ring has come around twice; large ones only
// there.
void check(const Shape& s, Type type, const std::vector<int>& batches, unsigned order,
           double (&worst)[3]) {
  const int total = s.window == 0 ? s.slots : std::max(2 * s.slots + 5, 150);
  const AttentionInputs in = rounded({s, total, uint32_t(s.slots)}, type);
  Layer layer(s, in, 150, type);
  emulator::set_order(order);
  for (const int n : batches) {
    if (s.window > 0 && s.slots < std::max(s.window, s.max_hop) + n) continue;
    for (const int position : {0, s.window + s.sinks, total / 3, total - n}) {
      if (position + n > total || (n >= 70 && position < total - n)) continue;
      const Floats expected = true_attention(s, in, position + n, position);
      for (int way = 0; way < 3; way++) {
        if (n <= 4 && way > 0) continue;                 // the same for all
        if (way == 2 && position < total - n) continue;  // to save time
        layer.device.queue().set_mma(kWays[way].mma);
        layer.device.queue().set_split_tf32(kWays[way].split);
        const double error = nmse(layer.ask(position, n, total), expected);
        CAPTURE(int(type));
        CAPTURE(s.window);
        CAPTURE(s.head_dim);
        CAPTURE(n);
        CAPTURE(position);
        CAPTURE(way);
        CHECK(error < kWays[way].max_error);
        worst[way] = std::max(worst[way], error);
      }
    }
  }
  emulator::set_order(0);
}

void check(const Shape& s, const std::vector<int>& batches, unsigned order, double (&worst)[3]) {
  for (const Type type : kCacheTypes) check(s, type, batches, order, worst);
}

TEST_CASE("cuda attention sees exactly the positions of the ring") {
  double worst[3] = {};
  unsigned order = 0;
  for (const Shape& s : kAttentionShapes) check(s, {1, 2, 3, 5, 26}, order++ % 4, worst);
  MESSAGE("largest NMSE: " << worst[0] << ", split " << worst[1] << ", rounded " << worst[2]);
}

TEST_CASE("cuda attention answers many queries at once") {
  double worst[3] = {};
  for (const Shape& s : {Shape{0, 0, 0, 300, 4, 2, 64}, Shape{16, 32, 4, 200, 4, 2, 16},
                         Shape{40, 128, 5, 300, 2, 2, 128}, Shape{20, 32, 3, 190, 3, 1, 36}})
    check(s, {70, 150}, 2, worst);
  MESSAGE("largest NMSE: " << worst[0] << ", split " << worst[1] << ", rounded " << worst[2]);
}

TEST_CASE("cuda attention takes heads of any size") {
  double worst[3] = {};
  for (const int dim : {1, 7, 33, 80, 130, 192, 255}) {
    const int group = dim % 3 + 1;
    check({9, 32, 2, 60, 2 * group, 2, dim}, {1, 20}, 1, worst);
    check({0, 0, 0, 90, 2 * group, 2, dim}, {3, 33}, 3, worst);
  }
  MESSAGE("largest NMSE: " << worst[0] << ", split " << worst[1] << ", rounded " << worst[2]);
}

TEST_CASE("cuda attention splits a long context") {
  double worst[3] = {};
  check({0, 0, 0, 2500, 2, 1, 64}, {1, 2, 7}, 2, worst);
  check({0, 0, 0, 1200, 1, 1, 256}, {1, 5}, 1, worst);
  check({1000, 2048, 6, 2100, 2, 2, 12}, {1, 5}, 3, worst);
  MESSAGE("largest NMSE: " << worst[0] << ", split " << worst[1] << ", rounded " << worst[2]);
}

TEST_CASE("cuda attention recorded once answers at every position") {
  for (const Shape& s : {Shape{0, 0, 0, 400, 4, 2, 16}, Shape{16, 64, 4, 128, 4, 2, 16},
                         Shape{60, 0, 0, 100, 9, 1, 8}})
    for (const Type type : kCacheTypes) {
      const AttentionInputs in = rounded({s, 400, 3}, type);
      Layer layer(s, in, 8, type);
      for (const int n : {1, 8}) {
        layer.ask(0, n, 400);  // drivers may not load a kernel while they record
        layer.prepare(0, n);
        layer.device.begin_recording();
        layer.launch(n, 400);
        const Graph graph = layer.device.end_recording();
        for (const int position : {0, 1, 15, 17, 130, 380, 20}) {
          layer.prepare(position, n);
          layer.device.replay(graph);
          const Floats replayed = layer.answer(n);
          CAPTURE(int(type));
          CAPTURE(n);
          CAPTURE(position);
          CHECK(replayed == layer.ask(position, n, 400));
          CHECK(nmse(replayed, true_attention(s, in, position + n, position)) < kMaxSplitError);
        }
      }
    }
}

TEST_CASE("cuda attention of no queries does nothing") {
  const Shape s{16, 32, 4, 64, 4, 2, 16};
  const AttentionInputs in(s, 10, 1);
  Layer layer(s, in, 8);
  layer.launch(0, 10);
}

}  // namespace
}  // namespace ringside
