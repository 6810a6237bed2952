// Passes that are recorded and repeated, snapshots, and forms of activations that must not be kept
// for too long.
#include "cuda_backend.h"
#include "host_backend.h"
#include "support.h"

namespace ringside {
namespace {

// Device memory with what the host had in it.
struct There {
  There(cuda::Cuda& device, const Floats& host) : device(device), size(host.size()) {
    data = static_cast<float*>(device.allocate(size * sizeof(float)));
    device.upload(data, host.data(), size * sizeof(float));
  }
  ~There() { device.release(data); }
  There(const There&) = delete;  // owns memory
  Floats back() const {
    Floats host(size);
    device.download(host.data(), data, size * sizeof(float));
    return host;
  }

  cuda::Cuda& device;
  size_t size;
  float* data;
};

TEST_CASE("a repeated pass goes on where the last one ended") {
  cuda::Cuda device(0);
  device.reserve(limits());
  constexpr int kDim = 8, kSlots = 16;
  There rows(device, Floats(size_t(2 * kSlots * kDim), 0.0f));
  There value(device, Floats(kDim, 1.0f)), step(device, Floats(kDim, 1.0f));
  const KvCache cache{rows.data, rows.data + kSlots * kDim, kSlots, 0, 0, 0, 1, kDim};
  device.begin(3);
  for (int i = 0; i < 6; i++) {  // the first is done, the second recorded, the others repeated
    device.repeat(1, [&] {
      device.store(cache, value.data, value.data, 1, kDim, 3 + i);
      device.add(value.data, step.data, kDim);
      device.pass(1);
    });
  }
  const Floats found = rows.back();
  for (int slot = 0; slot < kSlots; slot++) {
    CHECK(found[size_t(slot * kDim)] == (slot >= 3 && slot < 9 ? float(slot - 2) : 0.0f));
  }
}

TEST_CASE("passes under other keys are recorded apart, and forgotten together") {
  cuda::Cuda device(0);
  device.reserve(limits());
  There x(device, Floats(32, 0.0f)), one(device, Floats(32, 1.0f)), ten(device, Floats(32, 10.0f));
  int asked = 0;
  const auto add = [&](uint64_t key, const There& what) {
    device.repeat(key, [&] {
      asked++;
      device.add(x.data, what.data, 32);
    });
  };
  for (int i = 0; i < 4; i++) {
    add(1, one);
    add(2, ten);
  }
  CHECK(x.back()[5] == 44.0f);
  CHECK(asked == 4);  // each done once and recorded once
  device.forget_repeated();
  add(1, one);
  CHECK(asked == 5);
  CHECK(x.back()[5] == 45.0f);
}

TEST_CASE("what was recorded does not outlive the memory that it was recorded with") {
  const auto reference = ready("reference", 1);
  const Weights w(Type::q8_0, 24, 64, 1);
  const Floats x = noise(64, 3);
  Floats expected(24);
  reference->matmul(expected.data(), w.matrix, x.data(), 1);
  cuda::Cuda device(0);
  Limits some = limits();
  device.reserve(some);
  const Matrix placed = device.place(w.matrix);
  There in(device, x), out(device, Floats(24, NAN));
  const auto multiply = [&] {
    device.repeat(1, [&] { device.matmul(out.data, placed, in.data, 1, 0); });
  };
  for (int i = 0; i < 3; i++) multiply();
  some.max_cols *= 2;
  device.reserve(some);
  device.clear(out.data, 24 * sizeof(float));
  multiply();
  CHECK(nmse(out.back(), expected) < 2e-11);
}

TEST_CASE("rounded forms are those of what the memory holds now") {
  const auto reference = ready("reference", 1);
  const Weights w(Type::q8_0, 24, 64, 1), bf16(Type::bf16, 24, 64, 2);
  const Floats x = noise(3 * 64, 3), other = noise(3 * 64, 4), weight = noise(64, 5);
  cuda::Cuda device(0);
  device.reserve(limits());
  const Matrix placed = device.place(w.matrix), placed_bf16 = device.place(bf16.matrix);
  There a(device, x), b(device, other), y(device, Floats(3 * 24, NAN)), norm(device, weight);
  const auto check = [&](const Floats& input) {
    Floats expected(3 * 24);
    for (const bool narrow : {false, true}) {
      reference->matmul(expected.data(), narrow ? bf16.matrix : w.matrix, input.data(), 3);
      device.matmul(y.data, narrow ? placed_bf16 : placed, a.data, 3, 0);
      CHECK(nmse(y.back(), expected) < 2e-11);
    }
  };
  check(x);
  check(x);  // from what was kept
  Floats now = x;
  reference->add(now.data(), other.data(), 3 * 64);
  device.add(a.data, b.data, 3 * 64);
  check(now);
  reference->rmsnorm(now.data(), now.data(), weight.data(), 3, 64, 1e-6f);
  device.rmsnorm(a.data, a.data, norm.data, 3, 64, 1e-6f);
  check(a.back());
  CHECK(nmse(a.back(), now) < 1e-12);
  device.upload(a.data, other.data(), 3 * 64 * sizeof(float));
  check(other);
  device.copy(a.data, b.data, 64 * sizeof(float));  // a part of it
  device.clear(a.data + 64, 64 * sizeof(float));
  check(a.back());
  Floats gate = a.back();
  reference->swiglu(gate.data(), other.data(), 3 * 64);
  device.swiglu(a.data, b.data, 3 * 64);
  check(a.back());
  CHECK(nmse(a.back(), gate) < 1e-12);
}

TEST_CASE("forms that are in use are not written over") {
  const auto reference = ready("reference", 1);
  const Weights gate(Type::q8_0, 64, 64, 1), up(Type::q8_0, 64, 64, 2), down(Type::q8_0, 64, 64, 3);
  const FeedForward ffn{gate.matrix, up.matrix, down.matrix};
  const Floats x = noise(2 * 64, 4), other = noise(2 * 64, 5), weight = noise(64, 6);
  Floats normed(2 * 64), expected(2 * 64), hidden(2 * 64), more(2 * 64);
  reference->rmsnorm(normed.data(), x.data(), weight.data(), 2, 64, 1e-6f);
  reference->feed_forward(expected.data(), ffn, normed.data(), 2, hidden.data(), more.data());

  cuda::Cuda device(0);
  device.reserve(limits());
  const FeedForward placed{device.place(ffn.gate), device.place(ffn.up), device.place(ffn.down)};
  There a(device, x), b(device, other), w(device, weight), out(device, Floats(2 * 64, NAN));
  There a_norm(device, x), b_norm(device, x), g(device, x), u(device, x);
  device.rmsnorm(a_norm.data, a.data, w.data, 2, 64, 1e-6f);
  device.rmsnorm(b_norm.data, b.data, w.data, 2, 64, 1e-6f);  // the later one is not the input
  device.feed_forward(out.data, placed, a_norm.data, 2, g.data, u.data);
  CHECK(nmse(out.back(), expected) < 1e-8);  // a rounding step of hidden may flip
}

TEST_CASE("snapshots are taken where they are due, and give the ring back") {
  constexpr int kSlots = 12, kRows = 4, kEvery = 5, kWidth = 6;
  const KvCache shape{nullptr, nullptr, kSlots, 2, 3, 4, 2, 3};
  const auto host = ready("reference", 1);
  cuda::Cuda device(0);
  device.reserve(limits());
  const size_t size = size_t((kSlots + shape.sinks) * kWidth);
  const int64_t floats = 2 * kRows * kWidth;
  Floats host_rows(2 * size, 0.0f), host_kept(size_t(4 * floats), -1.0f);
  There rows(device, host_rows), kept(device, host_kept);
  KvCache on_host = shape, on_device = shape;
  on_host.k = host_rows.data(), on_host.v = host_rows.data() + size;
  on_device.k = rows.data, on_device.v = rows.data + size;
  for (int p = 0; p < 20; p++) {
    const Floats k = noise(kWidth, uint32_t(p)), v = noise(kWidth, uint32_t(100 + p));
    There there_k(device, k), there_v(device, v);
    device.begin(p);
    host->store(on_host, k.data(), v.data(), 1, kWidth, p);
    device.store(on_device, there_k.data, there_v.data, 1, kWidth, p);
    host->save({host_kept.data(), floats, kEvery}, on_host, kRows, p + 1);
    device.save({kept.data, floats, kEvery}, on_device, kRows, p + 1);
  }
  CHECK(kept.back() == host_kept);
  CHECK(rows.back() == host_rows);
  host->load({host_kept.data(), floats, kEvery}, on_host, kRows, 6, 10);
  device.load({kept.data, floats, kEvery}, on_device, kRows, 6, 10);
  CHECK(rows.back() == host_rows);

  Floats state = noise(2 * 3 * 3, 1), host_states(3 * state.size(), 0.0f);
  There there_state(device, state), states(device, host_states);
  const Snapshots to{host_states.data(), int64_t(state.size()), kEvery};
  const Snapshots there_to{states.data, int64_t(state.size()), kEvery};
  for (const int p : {4, 5, 9, 15}) {
    device.begin(p - 1);
    host->save(to, {state.data(), nullptr, 2, 3}, p);
    device.save(there_to, {there_state.data, nullptr, 2, 3}, p);
  }
  CHECK(states.back() == host_states);
}

#if defined(RINGSIDE_EMULATED)  // elsewhere others take and give memory too
TEST_CASE("what is reserved is what was said") {
  Limits l;
  l.max_batch = 512;
  l.max_cols = l.max_rows = 4096;
  l.max_experts = 64;
  l.max_top_k = 8;
  l.max_hidden = 512;
  l.max_context = 4096;
  l.max_heads = 16;
  l.max_head_dim = 128;
  cuda::Cuda device(0);
  const size_t before = device.free_bytes(), said = device.reserved_bytes(l);
  device.reserve(l);
  const size_t taken = before - device.free_bytes();
  CHECK(taken >= said);
  CHECK(taken <= said / 20 * 21 + (size_t(4) << 20));  // pieces are padded, and share 4 MB
}
#endif

TEST_CASE("memory that is full is told as such, and given back") {
  cuda::Cuda device(0);
  const size_t before = device.free_bytes();
  CHECK_THROWS_AS(device.allocate(size_t(1) << 50), DeviceError);
  void* memory = device.allocate(1000);
  CHECK(device.free_bytes() <= before);
  device.release(memory);
  const Weights w(Type::q4_0, 64, 256, 1);
  device.place(w.matrix);
  device.forget_placed();
#if defined(RINGSIDE_EMULATED)  // elsewhere others take and give memory too
  CHECK(device.free_bytes() == before);
#endif
}

}  // namespace
}  // namespace ringside
