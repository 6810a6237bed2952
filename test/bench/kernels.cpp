// How fast the kernels are on this machine.
//
//   bench_kernels [matmul] [threads] [attention] [lightning] [sampling] [--json] [--isa NAME]
//                 [--threads N] [--most TOKENS] [--cpu-time]
//
// Without a mode, all of them. What is compared is timed in turns (A B A B ...), so that a
// neighbour on the machine slows both alike; every figure is the median. With --json, the last line
// of the output is one JSON object. With --cpu-time, what the process spent on processors is
// counted instead of what a clock showed: for a machine shared with others, and then with --threads
// 1, since waiting threads spin.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "backend.h"
#include "cpu/threads.h"
#include "sampler.h"
#include "timing.h"
#include "weights.h"

using namespace ringside;

namespace {

using Floats = std::vector<float>;

struct Options {
  std::string isa = "auto";
  int threads = 0;
  int most = 16384;  // tokens that the attention bench goes up to
};

constexpr int kBatch = 256;  // tokens read at once, the engine's batch

Floats noise(int64_t size) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Floats x(static_cast<size_t>(size));
  for (float& value : x) value = uniform(random);
  return x;
}

// The median seconds of each piece of work, run in turns: at least `least` turns, and until
// `budget` seconds have passed. One turn before them is not counted.
std::vector<double> in_turns(const std::vector<std::function<void()>>& works, size_t least = 5,
                             double budget = 0.4) {
  std::vector<std::vector<double>> times(works.size());
  double spent = 0;
  for (size_t turn = 0; turn <= least || spent < budget; turn++)
    for (size_t i = 0; i < works.size(); i++) {
      const double time = seconds(works[i]);
      if (turn == 0) continue;
      times[i].push_back(time);
      spent += time;
    }
  std::vector<double> medians;
  for (const auto& all : times) medians.push_back(median(all));
  return medians;
}

// Rows of a JSON array, and the columns that are printed of each.
class Table {
 public:
  template <class... Values>
  void row(const char* format, Values... values) {
    char text[512];
    std::snprintf(text, sizeof text, format, values...);
    json_ += (json_.empty() ? "" : ",") + std::string(text);
  }
  std::string json() const { return "[" + json_ + "]"; }

 private:
  std::string json_;
};

std::unique_ptr<Backend> backend_of(const std::string& isa, int threads) {
  auto backend = make_backend(isa, threads);
  if (backend == nullptr) {
    std::fprintf(stderr, "No backend %s here.\n", isa.c_str());
    std::exit(1);
  }
  Limits limits;
  limits.max_batch = kBatch;
  limits.max_cols = limits.max_rows = 8960;
  limits.max_context = 1 << 16;
  backend->reserve(limits);
  return backend;
}

std::vector<std::string> backends_of(const Options& options) {
  if (options.isa != "auto") return {options.isa};
  return available_backends();
}

struct Product {
  int rows, cols, n;
};

// The types in turns, so that each one's rate may be held against int4's. n = 1 reads weights and
// is told in GB/s of them; per weight says how fast a value goes by, whatever it takes in memory.
void multiply_all(Backend& backend, const Product& p, Table& table) {
  std::vector<Weights> weights;
  for (const Type type : kAllTypes) {
    if (p.cols % block_cols(type) != 0) continue;
    weights.emplace_back(type, p.rows, p.cols, 1);
  }
  weights.emplace_back(Type::int4, p.rows, p.cols, 1, Layout{128, true});
  weights.emplace_back(Type::f8, p.rows, p.cols, 1, Layout{kGroup, false, 128});
  const Floats x = noise(int64_t(p.n) * p.cols);
  Floats y(size_t(p.n) * size_t(p.rows));
  const double flop = 2.0 * p.rows * p.cols * p.n;
  const int repeat = std::max(1, int(2e6 / flop));  // some tens of microseconds a timing
  std::vector<std::function<void()>> works;
  for (const Weights& w : weights)
    works.push_back([&] {
      for (int i = 0; i < repeat; i++) backend.matmul(y.data(), w.matrix, x.data(), p.n);
    });
  const std::vector<double> times = in_turns(works, 9, 0.5);
  double int4 = 0;
  for (size_t i = 0; i < weights.size(); i++)
    if (weights[i].matrix.type == Type::int4 && int4 == 0) int4 = times[i];
  for (size_t i = 0; i < weights.size(); i++) {
    const Matrix& m = weights[i].matrix;
    const bool blocks = m.block > 0 || m.group != kGroup;
    const std::string name = name_of(m.type) + (blocks ? " by 128" : "");
    const double time = times[i] / repeat, bytes = double(weights[i].data.size());
    std::printf("%-8s %-12s %5dx%-5d %5d %9.1f %9.2f %9.2f\n", std::string(backend.name()).c_str(),
                name.c_str(), p.rows, p.cols, p.n, flop / time * 1e-9, bytes / time * 1e-9,
                int4 / times[i]);
    table.row(
        "{\"backend\":\"%s\",\"type\":\"%s\",\"rows\":%d,\"cols\":%d,\"n\":%d,"
        "\"gflopPerSecond\":%.2f,\"weightGigabytesPerSecond\":%.3f,\"ratioToInt4\":%.3f}",
        std::string(backend.name()).c_str(), name.c_str(), p.rows, p.cols, p.n, flop / time * 1e-9,
        bytes / time * 1e-9, int4 / times[i]);
  }
  std::fflush(stdout);
}

std::string matmul(const Options& options) {
  // Of the bundled model, and of one of 1.5 billion parameters.
  constexpr Product kProducts[] = {{768, 256, 1},    {768, 256, 256},  {8192, 256, 1},
                                   {8192, 256, 256}, {1536, 1536, 1},  {1536, 1536, 256},
                                   {1536, 8960, 1},  {1536, 8960, 256}};
  Table table;
  std::printf("matmul\n%-8s %-12s %-11s %5s %9s %9s %9s\n", "backend", "type", "rows x cols", "n",
              "GFLOP/s", "GB/s", "to int4");
  for (const std::string& isa : backends_of(options)) {
    if (isa == "reference") continue;  // not made to be fast
#ifdef RINGSIDE_EMULATED_VNNI
    if (isa == "avxvnni") continue;
#endif
    const auto backend = backend_of(isa, options.threads);
    for (const Product& product : kProducts) multiply_all(*backend, product, table);
  }
  return "\"matmul\":" + table.json();
}

// What handing an empty task to the pool costs: to workers still spinning, and to sleeping ones.
std::string threads(const Options& options) {
  Threads pool(options.threads);
  constexpr int kTasks = 100;
  const auto task = [&] { pool.run(pool.count(), [](int) {}); };
  std::vector<double> awake, asleep;
  for (int turn = 0; turn < 201; turn++) {
    awake.push_back(seconds([&] {
                      for (int i = 0; i < kTasks; i++) task();
                    }) /
                    kTasks);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    asleep.push_back(seconds(task));
  }
  const double hot = median(awake) * 1e6, cold = median(asleep) * 1e6;
  std::printf(
      "\nthreads: %d; handing a task to awake ones costs %.2f us, to sleeping ones %.1f us\n",
      pool.count(), hot, cold);
  char text[160];
  std::snprintf(text, sizeof text,
                "\"threads\":{\"count\":%d,\"awakeMicroseconds\":%.3f,\"asleepMicroseconds\":%.2f}",
                pool.count(), hot, cold);
  return text;
}

// A softmax layer, and memory for `slots` positions of it.
struct Layer {
  int n_heads, n_kv_heads, head_dim;
};

struct Cache {
  KvCache view;
  std::vector<std::byte> k, v;
  Cache(const Layer& l, int slots, int sinks, int window, int max_hop, Type type = Type::f32)
      : view{nullptr, nullptr, slots, sinks, window, max_hop, l.n_kv_heads, l.head_dim, type},
        k(size_t((slots + sinks) * view.row_bytes())),
        v(k) {
    view.k = k.data();
    view.v = v.data();
  }
};

// Rows of keys and of values that n tokens occupy.
int64_t cache_bytes(const KvCache& c, int n) {
  const int64_t rows = std::min(c.slots, n) + std::min(c.sinks, n);
  return rows * c.row_bytes() * 2;
}

// Reads n tokens, causally, in batches: stores their keys and values, then attends.
void read(Backend& backend, const Layer& l, const Cache& cache, const Floats& x, Floats& out,
          int n) {
  const int wide = l.n_heads * l.head_dim;
  for (int p = 0; p < n; p += kBatch) {
    const int count = std::min(kBatch, n - p);
    backend.store(cache.view, x.data(), x.data() + 1, count, wide, p);
    backend.attention(out.data(), x.data(), cache.view, count, wide, l.n_heads, p);
  }
}

void attend_layer(Backend& backend, const Layer& l, int most, Table& table) {
  std::printf("\nattention, %d heads / %d kv heads / %d channels, %s, %d threads\n", l.n_heads,
              l.n_kv_heads, l.head_dim, std::string(backend.name()).c_str(), backend.threads());
  std::printf("%7s %10s %10s %9s %10s %10s %9s %12s %9s\n", "tokens", "full ms", "ring ms",
              "full/ring", "full KiB", "ring KiB", "saved %", "full f16 ms", "f16/f32");
  const Floats x = noise(int64_t(kBatch) * l.n_heads * l.head_dim + 1);
  Floats out(x.size());
  const Cache ring(l, 512, 4, 128, 256);
  for (int n = 256; n <= most; n *= 2) {
    const Cache full(l, n, 0, 0, 0), half(l, n, 0, 0, 0, Type::f16);
    const auto time = in_turns(
        {[&] { read(backend, l, full, x, out, n); }, [&] { read(backend, l, ring, x, out, n); },
         [&] { read(backend, l, half, x, out, n); }},
        n > 4096 ? 3 : 9);
    const int64_t full_bytes = cache_bytes(full.view, n), ring_bytes = cache_bytes(ring.view, n);
    const double ratio = time[0] / time[1];
    const double saved = 100.0 * (1.0 - double(ring_bytes) / double(full_bytes));
    std::printf("%7d %10.3f %10.3f %9.2f %10.1f %10.1f %9.1f %12.3f %9.2f\n", n, time[0] * 1e3,
                time[1] * 1e3, ratio, double(full_bytes) / 1024, double(ring_bytes) / 1024, saved,
                time[2] * 1e3, time[2] / time[0]);
    std::fflush(stdout);
    table.row(
        "{\"heads\":%d,\"kvHeads\":%d,\"headDim\":%d,\"tokens\":%d,\"fullMilliseconds\":%.4f,"
        "\"ringMilliseconds\":%.4f,\"speedRatio\":%.3f,\"fullBytes\":%lld,\"ringBytes\":%lld,"
        "\"memorySavingPercent\":%.2f,\"fullF16Milliseconds\":%.4f}",
        l.n_heads, l.n_kv_heads, l.head_dim, n, time[0] * 1e3, time[1] * 1e3, ratio,
        static_cast<long long>(full_bytes), static_cast<long long>(ring_bytes), saved,
        time[2] * 1e3);
  }
}

// One token behind a long text, as generation asks.
void decode_layer(Backend& backend, const Layer& l, Table& table) {
  const Floats x = noise(int64_t(kBatch) * l.n_heads * l.head_dim + 1);
  Floats out(x.size());
  const Cache ring(l, 512, 4, 128, 256), full(l, 4096, 0, 0, 0);
  const Cache half(l, 4096, 0, 0, 0, Type::f16);
  for (const Cache* cache : {&ring, &full, &half}) read(backend, l, *cache, x, out, 4096);
  const auto one = [&](const Cache& cache) {
    backend.attention(out.data(), x.data(), cache.view, 1, l.n_heads * l.head_dim, l.n_heads, 4095);
  };
  const auto time =
      in_turns({[&] { one(full); }, [&] { one(ring); }, [&] { one(half); }}, 500, 0.1);
  std::printf("one token behind 4,095: full %.1f us, ring %.1f us, full f16 %.1f us\n",
              time[0] * 1e6, time[1] * 1e6, time[2] * 1e6);
  table.row(
      "{\"heads\":%d,\"kvHeads\":%d,\"headDim\":%d,\"position\":4095,"
      "\"fullMicroseconds\":%.2f,\"ringMicroseconds\":%.2f,\"fullF16Microseconds\":%.2f}",
      l.n_heads, l.n_kv_heads, l.head_dim, time[0] * 1e6, time[1] * 1e6, time[2] * 1e6);
}

std::string attention(const Options& options) {
  const auto backend = backend_of(options.isa, options.threads);
  Table reading, decoding;
  // The bundled model's, a larger one's, and Qwen2.5-Coder-1.5B's.
  for (const Layer& l : {Layer{4, 2, 64}, Layer{16, 4, 128}, Layer{12, 2, 128}}) {
    attend_layer(*backend, l, options.most, reading);
    decode_layer(*backend, l, decoding);
  }
  return "\"attention\":{\"window\":128,\"maxHop\":256,\"slots\":512,\"sinks\":4,\"batchTokens\":" +
         std::to_string(kBatch) + ",\"reading\":" + reading.json() +
         ",\"decoding\":" + decoding.json() + "}";
}

std::string lightning(const Options& options) {
  const auto backend = backend_of(options.isa, options.threads);
  Table table;
  std::printf("\nlightning, 4 heads of 64, %s\n%7s %12s %12s\n",
              std::string(backend->name()).c_str(), "tokens", "answer us", "advance us");
  const Floats x = noise(kBatch * 256), decay(4, 0.1f);
  Floats out(kBatch * 256), s(4 * 64 * 64);
  const LinearState state{s.data(), decay.data(), 4, 64};
  for (const int n : {1, 4, 16, 64, 256}) {
    const auto time = in_turns(
        {[&] { backend->lightning(out.data(), x.data(), x.data(), x.data(), state, n, 256); },
         [&] { backend->advance(x.data(), x.data(), state, n, 256); }},
        200, 0.1);
    std::printf("%7d %12.2f %12.2f\n", n, time[0] * 1e6, time[1] * 1e6);
    table.row("{\"tokens\":%d,\"answerMicroseconds\":%.3f,\"advanceMicroseconds\":%.3f}", n,
              time[0] * 1e6, time[1] * 1e6);
  }
  return "\"lightning\":" + table.json();
}

// Drawing a token from logits that fall off as a trained model's do: some few stand out.
std::string sampling(const Options&) {
  Table table;
  std::printf("\nsampling\n%10s %12s %18s %12s\n", "vocabulary", "greedy us", "0.8, top-p 0.95 us",
              "1.0 us");
  for (const int vocabulary : {8192, 151936}) {  // the bundled model's, and Qwen2.5-Coder's
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, 2.5f);
    Floats logits(static_cast<size_t>(vocabulary));
    for (float& logit : logits) logit = normal(random);
    logits[77] = 16.0f;
    logits[78] = 15.5f;
    Sampler greedy({}), nucleus({0.8f, 0.95f, 1}), all({1.0f, 1.0f, 1});
    const auto time = in_turns({[&] { greedy.sample(logits); }, [&] { nucleus.sample(logits); },
                                [&] { all.sample(logits); }},
                               50, 0.1);
    std::printf("%10d %12.1f %18.1f %12.1f\n", vocabulary, time[0] * 1e6, time[1] * 1e6,
                time[2] * 1e6);
    table.row(
        "{\"vocabulary\":%d,\"greedyMicroseconds\":%.2f,\"topPMicroseconds\":%.2f,"
        "\"allMicroseconds\":%.2f}",
        vocabulary, time[0] * 1e6, time[1] * 1e6, time[2] * 1e6);
  }
  return "\"sampling\":" + table.json();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool json = false;
  std::vector<std::string> modes;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--json")
      json = true;
    else if (word == "--cpu-time")
      cpu_time = true;
    else if (word == "--isa" && next != nullptr)
      options.isa = argv[++i];
    else if (word == "--threads" && next != nullptr)
      options.threads = std::atoi(argv[++i]);
    else if (word == "--most" && next != nullptr)
      options.most = std::atoi(argv[++i]);
    else
      modes.push_back(word);
  }
  constexpr struct {
    const char* name;
    std::string (*run)(const Options&);
  } kModes[] = {{"matmul", matmul},
                {"threads", threads},
                {"attention", attention},
                {"lightning", lightning},
                {"sampling", sampling}};
  for (const std::string& mode : modes)
    if (std::none_of(std::begin(kModes), std::end(kModes),
                     [&](const auto& known) { return mode == known.name; })) {
      std::fprintf(stderr, "Unknown mode %s: matmul, threads, attention, lightning or sampling.\n",
                   mode.c_str());
      return 2;
    }
  const auto backend = backend_of(options.isa, options.threads);
  std::string result = "{\"backend\":\"" + std::string(backend->name()) +
                       "\",\"threadCount\":" + std::to_string(backend->threads()) +
                       ",\"clock\":\"" + (cpu_time ? "processor time" : "wall time") + "\"";
  for (const auto& mode : kModes)
    if (modes.empty() || std::find(modes.begin(), modes.end(), mode.name) != modes.end())
      result += "," + mode.run(options);
  if (json) std::printf("%s}\n", result.c_str());
}
