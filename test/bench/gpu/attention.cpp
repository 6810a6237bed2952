// Ring attention against full attention: one softmax layer, the same heads, the same kernels.
#include <algorithm>
#include <optional>

#include "ops.h"
#include "options.h"

namespace ringside::bench {

namespace {

constexpr int kHeads = 16, kKvHeads = 4, kDim = 128;  // Ring-mini-linear-2.0's softmax layers
constexpr int kRowStride = (kHeads + 2 * kKvHeads) * kDim;
constexpr int kSinks = 4;

struct Kind {
  const char* name;
  int window, max_hop;  // 0, 0: full attention
};
constexpr Kind kKinds[] = {{"full", 0, 0}, {"ring 128", 128, 256}, {"ring 512", 512, 1024}};

struct Way {
  const char* name;
  bool mma, split;
};
constexpr Way kWays[] = {
    {"two TF32 parts", true, true}, {"TF32", true, false}, {"no tensor cores", false, true}};

// A layer's cache and what asks of it.
class Layer {
 public:
  Layer(Device& device, const Kind& kind, int tokens, int batch, int copies)
      : device_(device),
        tokens_(tokens),
        batch_(std::min(batch, tokens)),
        copies_(copies),
        slots_(kind.window == 0 ? tokens : kind.max_hop + batch),
        sinks_(kind.window == 0 ? 0 : kSinks),
        kind_(kind),
        memory_(device, size_t(copies) * 2 * rows()),
        qkv_(device, noise(size_t(batch_) * kRowStride, 1)),
        out_(device, size_t(batch_) * kHeads * kDim),
        scratch_(device, cuda::attention_scratch_bytes(kDim, device.queue().processors())),
        base_(device, std::vector<int>{0}) {
    device.clear(memory_.data(), memory_.bytes());
    device.clear(scratch_.data(), scratch_.bytes());
  }

  // Reads all tokens, causally, a batch at a time: stores their keys and values, then attends.
  void read() const {
    for (int p = 0; p < tokens_; p += batch_) pass(0, std::min(batch_, tokens_ - p), p);
  }
  // The last token, over each copy of the cache.
  void decode() const {
    for (int i = 0; i < copies_; i++) pass(i, 1, tokens_ - 1);
  }
  // Of keys and values that `tokens` positions occupy.
  double bytes() const {
    const int held = std::min(slots_, tokens_) + std::min(sinks_, tokens_);
    return 2.0 * held * kKvHeads * kDim * sizeof(float);
  }

 private:
  size_t rows() const { return size_t(slots_ + sinks_) * kKvHeads * kDim; }
  void pass(int copy, int n, int position) const {
    float* k = memory_.data() + size_t(copy) * 2 * rows();
    const KvCache cache{k, k + rows(), slots_, sinks_, kind_.window, kind_.max_hop, kKvHeads, kDim};
    const float* keys = qkv_.data() + kHeads * kDim;
    const cuda::Position at{base_.data(), position, tokens_};
    cuda::store(device_.queue(), cache, keys, keys + kKvHeads * kDim, n, kRowStride, at);
    cuda::attention(device_.queue(), out_.data(), qkv_.data(), cache, n, kRowStride, kHeads, at,
                    scratch_.data());
  }

  Device& device_;
  int tokens_, batch_, copies_, slots_, sinks_;
  Kind kind_;
  Array<float> memory_, qkv_, out_;
  Array<char> scratch_;
  Array<int> base_;
};

// Copies of a cache that are asked in turns, so that none is in a processor's cache: 200 MB.
int copies_for(const Kind& kind, int tokens, int batch, bool tiny) {
  if (tiny) return 2;
  const int rows = kind.window == 0 ? tokens : kind.max_hop + batch;
  const double each = 2.0 * rows * kKvHeads * kDim * sizeof(float);
  return std::clamp(int(200e6 / each), 1, 128);
}

struct Measured {
  double read = -1, decode = -1;  // seconds
  double bytes = 0;
  Energy read_energy, decode_energy;
};

Measured measure_one(Bench& bench, Device& device, const Kind& kind, int tokens, bool energies) {
  const bool tiny = bench.options.tiny;
  const int batch = tiny ? 32 : 256;
  const int copies = copies_for(kind, tokens, batch, tiny);
  const Layer layer(device, kind, tokens, batch, copies);
  Measured result;
  result.bytes = layer.bytes();
  {
    const Graph graph = record(device, [&] { layer.read(); });
    const auto work = [&] { device.replay(graph); };
    const int least = tiny ? 1 : tokens > 20000 ? 2 : 5;  // some take a second
    result.read = measure(device, work, tiny ? 0.0 : 0.2, least).median;
    if (energies) result.read_energy = energy(device, bench.meters, work, 1.2);
  }
  const Graph graph = record(device, [&] { layer.decode(); });
  const auto work = [&] { device.replay(graph); };
  result.decode = measure(device, work, tiny ? 0.0 : 0.1, tiny ? 1 : 5).median / copies;
  if (energies) {
    result.decode_energy = energy(device, bench.meters, work, 1.2);
    result.decode_energy.joules /= copies;
  }
  return result;
}

double ratio(double full, double ring) { return full > 0 && ring > 0 ? full / ring : -1; }

void add_row(Bench& bench, int tokens, const Way& way, const Measured (&of)[3], double idle) {
  const Measured &full = of[0], &ring = of[1], &wide = of[2];
  const auto saved = [&](const Measured& one) { return 1 - one.bytes / full.bytes; };
  const auto net = [&](const Energy& energy, double seconds) {
    return energy.joules > 0 && idle >= 0 ? energy.joules - idle * seconds : -1;
  };
  bench.report.row(
      {integer("tokens", tokens),
       text("way", way.name),
       number("fullReadMilliseconds", full.read * 1e3),
       number("ringReadMilliseconds", ring.read * 1e3),
       number("readRatio", ratio(full.read, ring.read)),
       hidden(number("wideRingReadMilliseconds", wide.read * 1e3)),
       number("wideRingReadRatio", ratio(full.read, wide.read)),
       number("fullDecodeMicroseconds", full.decode * 1e6),
       number("ringDecodeMicroseconds", ring.decode * 1e6),
       number("decodeRatio", ratio(full.decode, ring.decode)),
       hidden(number("wideRingDecodeMicroseconds", wide.decode * 1e6)),
       number("wideRingDecodeRatio", ratio(full.decode, wide.decode)),
       hidden(number("fullBytes", full.bytes)),
       hidden(number("ringBytes", ring.bytes)),
       hidden(number("wideRingBytes", wide.bytes)),
       percent("memorySaved", saved(ring)),
       percent("wideRingMemorySaved", saved(wide)),
       hidden(number("fullReadMillijoules", full.read_energy.joules * 1e3)),
       hidden(number("ringReadMillijoules", ring.read_energy.joules * 1e3)),
       hidden(number("fullReadWatts", full.read_energy.watts)),
       hidden(number("ringReadWatts", ring.read_energy.watts)),
       number("readEnergyRatio", ratio(full.read_energy.joules, ring.read_energy.joules)),
       hidden(number("readEnergyRatioWithoutIdle",
                     ratio(net(full.read_energy, full.read), net(ring.read_energy, ring.read)))),
       hidden(number("fullDecodeMicrojoules", full.decode_energy.joules * 1e6)),
       hidden(number("ringDecodeMicrojoules", ring.decode_energy.joules * 1e6)),
       hidden(number("wideRingReadMillijoules", wide.read_energy.joules * 1e3)),
       hidden(number("wideRingDecodeMicrojoules", wide.decode_energy.joules * 1e6)),
       number("decodeEnergyRatio", ratio(full.decode_energy.joules, ring.decode_energy.joules))});
}

}  // namespace

void bench_attention(Bench& bench, Device& device) {
  const bool tiny = bench.options.tiny;
  const double idle = tiny ? -1 : idle_watts(bench.meters, 1);
  bench.report.fact(number("idleWatts", idle));
  bench.report.table(
      "attention", "Ring attention against full attention",
      "One softmax layer of " + std::to_string(kHeads) + " heads, " + std::to_string(kKvHeads) +
          " kv heads, " + std::to_string(kDim) +
          " channels; keys and values are float32. It reads "
          "n tokens in batches of " +
          (tiny ? "32" : "256") +
          " (storing, then attending; recorded), and then one token behind n - 1 others, of caches "
          "that fill 200 MB. Ring 128: a window of 128, hops 128 and 256 back, the first 4, 512 "
          "slots, as the bundled model has it. Ring 512: a window of 512, hops of 512 and 1,024, "
          "1,280 slots. Times by events; energy by the driver's counter over 1.2 s of each, with "
          "what the device takes when idle (without it: in the JSON).",
      {"tokens", "floats meet as", "read: full ms", "ring 128 ms", "times as fast",
       "ring 512 times", "one token: full us", "ring 128 us", "times as fast", "ring 512 times",
       "memory saved", "ring 512 saved", "read: energy, times less",
       "one token: energy, times less"});
  const std::vector<int> sizes =
      tiny ? std::vector<int>{64, 200} : std::vector<int>{1024, 4096, 16384, 65536};
  std::optional<Measured> claimed[2];  // full and ring at the first size
  for (const int tokens : sizes) {
    for (const Way& way : kWays) {
      const bool energies = &way == &kWays[0] && !tiny;
      if (!bench.has_time(tiny       ? 0
                          : energies ? 20
                                     : 8,
                          "attention over " + std::to_string(tokens) + " tokens, " + way.name)) {
        continue;
      }
      device.queue().set_mma(way.mma);
      device.queue().set_split_tf32(way.split);
      Measured of[3];
      for (int i = 0; i < 3; i++) of[i] = measure_one(bench, device, kKinds[i], tokens, energies);
      add_row(bench, tokens, way, of, idle);
      if (!claimed[0]) claimed[0] = of[0], claimed[1] = of[1];
    }
  }
  device.queue().set_mma(true);
  device.queue().set_split_tf32(true);
  if (!claimed[0]) return;
  const Measured &full = *claimed[0], &ring = *claimed[1];
  bench.report.table("claims", "What ring attention is said to save",
                     "At " + std::to_string(sizes[0]) + " tokens, ring 128, two TF32 parts.",
                     {"", "said", "measured"});
  bench.report.row({text("what", "memory"), text("said", "-47 %"),
                    percent("measured", ring.bytes / full.bytes - 1)});
  bench.report.row({text("what", "speed of reading, times"), text("said", "2.3"),
                    number("measured", ratio(full.read, ring.read))});
  bench.report.row({text("what", "energy of reading, times less"), text("said", "3.8"),
                    number("measured", ratio(full.read_energy.joules, ring.read_energy.joules))});
}

}  // namespace ringside::bench
