#include "placed.h"

namespace ringside::cuda {
namespace {

// Seen at most: 6.8e-13. But int8 and bf16 round the hidden activations, where a last-bit
// difference may become a step: the CPU backends come to 3.6e-10 that way.
constexpr double kMaxError = 1e-8;

// Experts on the host and on the device.
class Experts {
 public:
  Experts(Device& device, int count, int dim, int hidden, const std::vector<Type>& types)
      : dim(dim), device_(device) {
    const auto type = [&](int i) { return types[size_t(i) % types.size()]; };
    for (int e = 0; e < count; e++) {
      add(type(e), hidden, dim, e % 2 == 0);
      add(type(e + 1), hidden, dim, e % 3 == 0);
      add(type(e + 3), dim, hidden, e % 2 == 1);
    }
    const auto one = [](const auto& of, size_t e) {
      return FeedForward{of(3 * e), of(3 * e + 1), of(3 * e + 2)};
    };
    std::vector<FeedForward> table_host;
    for (size_t e = 0; e < size_t(count); e++) {
      host.push_back(one([&](size_t i) { return weights_[i].matrix; }, e));
      table_host.push_back(one([&](size_t i) { return placed_[i]->matrix; }, e));
      table.types |= 1u << int(host[e].gate.type) | 1u << int(host[e].up.type);
      table.down_types |= 1u << int(host[e].down.type);
    }
    memory_ = std::make_unique<Array<FeedForward>>(device, table_host);
    table.experts = memory_->data();
    table.count = count;
    table.dim = dim;
    table.hidden = hidden;
  }

  // y plus what the chosen experts give.
  Floats run(const Floats& before, const std::vector<int>& chosen, const Floats& weights,
             const Floats& x, int n) const {
    const int top_k = int(chosen.size()) / n;
    const Inputs input(device_, x, dim);
    const Array<float> y(device_, before), weight(device_, weights);
    const Array<int> choice(device_, chosen);
    const Array<uint8_t> scratch(device_, expert_scratch_bytes(table, n, top_k));
    run_experts(device_.queue(), y.data(), table, choice.data(), weight.data(), top_k, input.view,
                n, scratch.data());
    return y.host();
  }

  int dim;
  std::vector<FeedForward> host;
  ExpertTable table;

 private:
  void add(Type type, int rows, int cols, bool bias) {
    weights_.emplace_back(type, rows, cols, uint32_t(weights_.size()), Layout{32, false, 0, bias});
    placed_.push_back(std::make_unique<Placed>(device_, weights_.back().matrix));
  }

  Device& device_;
  std::vector<Weights> weights_;
  std::vector<std::unique_ptr<Placed>> placed_;
  std::unique_ptr<Array<FeedForward>> memory_;
};

// The reference's definition, an expert at a time.
Floats expected(const Experts& experts, Floats y, const std::vector<int>& chosen,
                const Floats& weights, const Floats& x, int n) {
  const auto reference = reference_backend();
  const int dim = experts.dim, top_k = int(chosen.size()) / n;
  Floats gate(size_t(experts.table.hidden)), up(gate), out(static_cast<size_t>(dim));
  for (int i = 0; i < n; i++)
    for (int j = 0; j < top_k; j++) {
      const int one = chosen[size_t(i * top_k + j)];
      if (one < 0) continue;
      const FeedForward& expert = experts.host[size_t(one)];
      reference->matmul(gate.data(), expert.gate, x.data() + i * dim, 1);
      reference->matmul(up.data(), expert.up, x.data() + i * dim, 1);
      reference->swiglu(gate.data(), up.data(), int64_t(gate.size()));
      reference->matmul(out.data(), expert.down, gate.data(), 1);
      for (int c = 0; c < dim; c++)
        y[size_t(i * dim + c)] += weights[size_t(i * top_k + j)] * out[size_t(c)];
    }
  return y;
}

// Experts that differ within a token; one place in five is empty where `gaps`.
std::vector<int> choices(int n, int top_k, int count, bool gaps) {
  std::vector<int> chosen;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < top_k; j++)
      chosen.push_back(gaps && (i * top_k + j) % 5 == 3 ? -1 : (i * i % 11 + j * 5) % count);
  return chosen;
}

double check(const Experts& experts, int n, int top_k, bool gaps) {
  const std::vector<int> chosen = choices(n, top_k, int(experts.host.size()), gaps);
  const Floats weights = noise(size_t(n * top_k), 2), x = noise(size_t(n * experts.dim), 3);
  const Floats before = noise(x.size(), 4);
  const double error = nmse(experts.run(before, chosen, weights, x, n),
                            expected(experts, before, chosen, weights, x, n));
  CAPTURE(n);
  CAPTURE(top_k);
  CHECK(error < kMaxError);
  return error;
}

TEST_CASE("experts of every type add what the reference adds") {
  Device device(0);
  double worst = 0;
  for (const Type type : kAllTypes) {
    const bool wide = block_cols(type) == kSuperBlock;
    const int dim = wide ? 256 : block_cols(type) == 1 ? 45 : 96;
    const Experts experts(device, 7, dim, wide ? 256 : 64, {type});
    CAPTURE(name_of(type));
    for (const bool mma : {true, false}) {
      device.queue().set_mma(mma);
      for (const int n : {1, 9}) {
        emulator::set_order(unsigned(n));
        if (n > 1 || mma) worst = std::max(worst, check(experts, n, 3, n > 1));
      }
    }
  }
  emulator::set_order(0);
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("experts, and the three matrices of one, may differ in type") {
  Device device(0);
  double worst = 0;
  const Experts experts(device, 12, 256, 256,
                        {Type::int4, Type::q4_k, Type::f8, Type::q6_k, Type::f16, Type::bf16});
  for (const int n : {2, 12}) worst = std::max(worst, check(experts, n, 3, true));
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("any number of experts a token, and of tokens an expert") {
  Device device(0);
  double worst = 0;
  for (const Type type : {Type::q4_0, Type::bf16}) {
    const Experts many(device, 40, 64, 32, {type}), two(device, 2, 64, 32, {type});
    for (const int top_k : {1, 2, 8})
      for (const int n : {1, 3, 8, 9, 40})
        for (const unsigned order : {0u, 1u, 3u}) {
          if (order > 0 && (n != 9 || top_k != 2)) continue;
          emulator::set_order(order);
          worst = std::max(worst, check(many, n, top_k, n % 2 == 1));
        }
    worst = std::max(worst, check(two, 70, 2, false));  // larger tiles
  }
  emulator::set_order(0);
  MESSAGE("largest NMSE: " << worst);
}

TEST_CASE("tokens that take no expert keep their row, and what an empty place weighs is nothing") {
  Device device(0);
  const int dim = 64;
  const Experts experts(device, 6, dim, 32, {Type::int4});
  for (const int n : {3, 12}) {
    const Floats x = noise(size_t(n * dim), 3), before = noise(size_t(n * dim), 4);
    CHECK(experts.run(before, std::vector<int>(size_t(n * 2), -1), Floats(size_t(n * 2), NAN), x,
                      n) == before);
  }
}

TEST_CASE("up to eight tokens give each what it gives alone, and so do more among themselves") {
  Device device(0);
  const int dim = 96, top_k = 3;
  const Experts experts(device, 9, dim, 64, {Type::q8_0, Type::int4, Type::bf16});
  const auto part = [&](int first, int count) {
    const std::vector<int> all = choices(40, top_k, 9, false);
    const Floats x = noise(size_t(40 * dim), 3), weights = noise(size_t(40 * top_k), 4);
    const std::vector<int> chosen(all.begin() + first * top_k,
                                  all.begin() + (first + count) * top_k);
    return experts.run(
        Floats(size_t(count * dim), 0.5f), chosen,
        Floats(weights.begin() + first * top_k, weights.begin() + (first + count) * top_k),
        Floats(x.begin() + first * dim, x.begin() + (first + count) * dim), count);
  };
  const Floats eight = part(0, 8), forty = part(0, 40), ten = part(30, 10);
  CHECK(Floats(eight.begin() + 5 * dim, eight.begin() + 6 * dim) == part(5, 1));
  CHECK(Floats(forty.begin() + 30 * dim, forty.end()) == ten);
}

}  // namespace
}  // namespace ringside::cuda
