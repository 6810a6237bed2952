// What the expert budget costs and gives: expert_budget [--speed] MODEL FILE...
//
// For each setting of expertCoverage and activeShare, over the text of FILEs: the mean KL
// divergence of the next-token distribution from that of the whole model, in nats; how often the
// best token is the same; the log probability of the text; experts run per token and layer; and how
// fast one token at a time is read (which is decoding) beside the whole model, the same tokens,
// alternating in one run. --speed leaves the distributions out: for a large model, of which two fit
// into memory, and whose weights may be random.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "host_backend.h"
#include "loaded_model.h"
#include "mapping.h"
#include "prompting.h"
#include "tokenizer.h"

using namespace ringside;

namespace {

constexpr size_t kTokensAFile = 1024;

struct Timing {
  size_t tokens;  // of each time
  size_t rounds;  // of whole and limited
};
constexpr Timing kTiming = {128, 15}, kTimingOfLarge = {32, 9};

// Counts what the router lets run, on the way to a real backend. Everything else is passed on.
class CountingBackend : public HostBackend {
 public:
  explicit CountingBackend(Backend& backend) : backend_(backend) {}

  int64_t run = 0, routed = 0;  // experts, and calls of the router times tokens

  std::string_view name() const override { return backend_.name(); }
  int threads() const override { return backend_.threads(); }
  void reserve(const Limits& limits) override { backend_.reserve(limits); }
  size_t reserved_bytes(const Limits& limits) const override {
    return backend_.reserved_bytes(limits);
  }
  using HostBackend::matmul;
  void matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) override {
    backend_.matmul(y, w, x, n, y_stride);
  }
  void embed(float* y, const Matrix& w, const Token* tokens, int n) override {
    backend_.embed(y, w, tokens, n);
  }
  void rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) override {
    backend_.rmsnorm(y, x, weight, n, dim, eps);
  }
  void layernorm(float* y, const float* x, const float* weight, const float* bias, int n, int dim,
                 float eps) override {
    backend_.layernorm(y, x, weight, bias, n, dim, eps);
  }
  void add(float* x, const float* y, int64_t size) override { backend_.add(x, y, size); }
  void swiglu(float* gate, const float* up, int64_t size) override {
    backend_.swiglu(gate, up, size);
  }
  void silu(float* x, int64_t size) override { backend_.silu(x, size); }
  void gelu(float* x, int64_t size) override { backend_.gelu(x, size); }
  void norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                 const Rope& rope, float eps, int position) override {
    backend_.norm_rope(x, weight, n, stride, n_heads, head_dim, rope, eps, position);
  }
  void store(const KvCache& cache, const float* k, const float* v, int n, int stride,
             int position) override {
    backend_.store(cache, k, v, n, stride, position);
  }
  void attention(float* out, const float* q, const KvCache& cache, int n, int stride, int n_heads,
                 int position) override {
    backend_.attention(out, q, cache, n, stride, n_heads, position);
  }
  void lightning(float* out, const float* q, const float* k, const float* v,
                 const LinearState& state, int n, int stride) override {
    backend_.lightning(out, q, k, v, state, n, stride);
  }
  void advance(const float* k, const float* v, const LinearState& state, int n,
               int stride) override {
    backend_.advance(k, v, state, n, stride);
  }
  void gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                        int dim, int groups, float eps) override {
    backend_.gated_group_norm(y, x, gate, weight, n, dim, groups, eps);
  }
  void route(int* experts, float* weights, const Router& router, const float* h, int n,
             const int* features, int n_active, int first_featured) override {
    backend_.route(experts, weights, router, h, n, features, n_active, first_featured);
    run +=
        std::count_if(experts, experts + int64_t(n) * router.top_k, [](int e) { return e >= 0; });
    routed += n;
  }
  void experts(float* y, const ExpertSet& all, const int* experts, const float* weights, int top_k,
               const float* x, int n) override {
    backend_.experts(y, all, experts, weights, top_k, x, n);
  }

 private:
  Backend& backend_;
};

struct Setting {
  float cover = 1, share = 1;
};

struct Divergence {
  double kl = 0, same = 0, log_probability = 0;
  int64_t count = 0;
};

std::vector<float> log_softmax(std::span<const float> logits) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(double(x) - most);
  const auto log_sum = float(std::log(sum)) + most;
  std::vector<float> result(logits.begin(), logits.end());
  for (float& x : result) x -= log_sum;
  return result;
}

size_t best(std::span<const float> row) {
  return size_t(std::max_element(row.begin(), row.end()) - row.begin());
}

// Calls `each` with the index of every token of `text` and the logits behind it.
template <typename F>
void read(Model& model, const std::vector<Token>& text, const F& each) {
  Sequence sequence(model.config(), model.backend(), model.context_tokens());
  for (size_t at = 0; at < text.size();) {
    const size_t n = std::min(model.max_batch(), text.size() - at);
    model.read(sequence, std::span(text).subspan(at, n));
    for (size_t i = 0; i < n; i++) each(at + i, model.logits(i));
    at += n;
  }
}

using Texts = std::vector<std::vector<Token>>;

Divergence diverge(Model& whole, Model& limited, const Texts& texts) {
  Divergence sum;
  for (const auto& text : texts) {
    std::vector<std::vector<float>> p;
    read(whole, text,
         [&](size_t, std::span<const float> logits) { p.push_back(log_softmax(logits)); });
    read(limited, text, [&](size_t i, std::span<const float> logits) {
      const std::vector<float> q = log_softmax(logits);
      for (size_t t = 0; t < q.size(); t++) sum.kl += std::exp(p[i][t]) * (p[i][t] - q[t]);
      sum.same += best(p[i]) == best(q);
      if (i + 1 < text.size()) sum.log_probability += q[size_t(text[i + 1])];
      sum.count++;
    });
  }
  return sum;
}

double seconds_to_decode(Model& model, std::span<const Token> text) {
  Sequence sequence(model.config(), model.backend(), model.context_tokens());
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < text.size(); i++) model.forward(sequence, text.subspan(i, 1));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// How many times as fast as the whole model the limited one decodes, of the best and of the median
// times: what else runs on the machine only adds.
struct Speedup {
  double best, median;
};

Speedup speed_up(Model& whole, Model& limited, const std::vector<Token>& text,
                 const Timing& timing) {
  const auto tokens = std::span(text).first(std::min(timing.tokens, text.size()));
  std::vector<double> slow, fast;
  for (size_t round = 0; round < timing.rounds; round++) {
    slow.push_back(seconds_to_decode(whole, tokens));
    fast.push_back(seconds_to_decode(limited, tokens));
  }
  std::sort(slow.begin(), slow.end());
  std::sort(fast.begin(), fast.end());
  return {slow[0] / fast[0], slow[timing.rounds / 2] / fast[timing.rounds / 2]};
}

void report(const char* path, Model& whole, const Texts& texts, const Setting& setting,
            bool speed_only) {
  const auto cpu = make_backend("auto", 1);
  CountingBackend counting(*cpu);
  LoadedModel limited(path, counting,
                      {.context_tokens = int(kTokensAFile),
                       .expert_coverage = setting.cover,
                       .active_share = setting.share});
  Divergence found;
  if (!speed_only) found = diverge(whole, limited.model, texts);
  const Speedup speed =
      speed_up(whole, limited.model, texts[0], speed_only ? kTimingOfLarge : kTiming);
  const double experts = double(counting.run) / double(counting.routed);
  std::printf("| %.2f | %.2f | %.3f |", setting.cover, setting.share, experts);
  if (!speed_only) {
    const double n = double(found.count);
    std::printf(" %.4f | %.1f %% | %.4f |", found.kl / n, 100 * found.same / n,
                found.log_probability / n);
  }
  std::printf(" %.2f (%.2f) |\n", speed.best, speed.median);
  std::fflush(stdout);
}

Texts read_texts(const char* path, char** files, int count) {
  const ModelFiles model(path);
  Tokenizer tokenizer(tokenizer_spec(model));
  Texts texts;
  for (int i = 0; i < count; i++) {
    std::vector<Token> tokens;
    tokenizer.encode(read_text(files[i]), tokens);
    tokens.resize(std::min(tokens.size(), kTokensAFile));
    if (tokens.size() > 1) texts.push_back(std::move(tokens));
  }
  if (texts.empty()) throw std::runtime_error("The files hold no text.");
  return texts;
}

// The active share that leaves room for each number of experts below the model's own.
std::vector<float> shares(const Model& whole) {
  const Counts& counts = whole.counts();
  const Config& config = whole.config();
  const double each = double(counts.routed) / config.num_experts;
  const double always = double(counts.total - counts.routed);
  std::vector<float> found;
  for (int run = config.num_experts_per_tok - 1; run > 0; run--) {
    found.push_back(float((always + (run + 0.5) * each) / double(counts.total)));
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  const bool speed_only = argc > 1 && argv[1] == std::string_view("--speed");
  char** arguments = argv + 1 + speed_only;  // the model, then the files
  const int count = argc - 1 - speed_only;
  if (count < 2) {
    std::fprintf(stderr, "expert_budget [--speed] MODEL FILE...\n");
    return 2;
  }
  const char* path = arguments[0];
  try {
    const Texts texts = read_texts(path, arguments + 1, count - 1);
    size_t tokens = 0;
    for (const auto& text : texts) tokens += text.size();
    std::printf("%zu texts, %zu tokens\n\n", texts.size(), tokens);
    std::printf("| coverage | active share | experts a token and layer |%s decode |\n%s\n",
                speed_only ? "" : " KL (nats) | same best token | log probability |",
                speed_only ? "|---|---|---|---|" : "|---|---|---|---|---|---|---|");
    const auto cpu = make_backend("auto", 1);
    LoadedModel whole(path, *cpu, {.context_tokens = int(kTokensAFile)});
    const auto measure = [&](const Setting& setting) {
      report(path, whole.model, texts, setting, speed_only);
    };
    for (const float cover : {1.0f, 0.95f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f}) {
      measure({.cover = cover});
    }
    for (const float share : shares(whole.model)) measure({.share = share});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
