// What the expert budget costs and gives: expert_budget MODEL FILE...
//
// For each setting of expertCoverage and activeShare, over the text of FILEs: the mean KL
// divergence of the next-token distribution from that of the whole model, in nats; how often the
// best token is the same; the log probability of the text; experts run per token and layer; and how
// fast one token at a time is read (which is decoding) beside the whole model, alternating in one
// run.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "loaded_model.h"
#include "mapping.h"
#include "prompting.h"
#include "tokenizer.h"

using namespace ringside;

namespace {

constexpr size_t kTokensAFile = 1024;
constexpr size_t kDecoded = 128;  // tokens of a timing
constexpr int kRounds = 15;

// Counts what the router lets run, on the way to a real backend. Everything else is passed on.
class CountingBackend : public Backend {
 public:
  explicit CountingBackend(Backend& backend) : backend_(backend) {}

  int64_t run = 0, routed = 0;  // experts, and calls of the router times tokens

  std::string_view name() const override { return backend_.name(); }
  int threads() const override { return backend_.threads(); }
  void reserve(const Limits& limits) override { backend_.reserve(limits); }
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
  void experts(float* y, const FeedForward* all, const int* experts, const float* weights,
               int top_k, const float* x, int n) override {
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

double seconds_to_decode(Model& model, const std::vector<Token>& text) {
  Sequence sequence(model.config(), model.backend(), model.context_tokens());
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < std::min(kDecoded, text.size()); i++) {
    model.forward(sequence, std::span(text).subspan(i, 1));
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void report(const char* path, const Texts& texts, const Setting& setting) {
  const auto cpu = make_backend("auto", 1), whole_cpu = make_backend("auto", 1);
  CountingBackend counting(*cpu);
  const ModelOptions options{.context_tokens = int(kTokensAFile),
                             .expert_coverage = setting.cover,
                             .active_share = setting.share};
  LoadedModel limited(path, counting, options);
  LoadedModel whole(path, *whole_cpu, {.context_tokens = int(kTokensAFile)});
  const Divergence found = diverge(whole.model, limited.model, texts);
  const double experts = double(counting.run) / double(counting.routed);
  double slow = INFINITY, fast = INFINITY;  // the best of each: what others run only adds
  for (int round = 0; round < kRounds; round++) {
    slow = std::min(slow, seconds_to_decode(whole.model, texts[0]));
    fast = std::min(fast, seconds_to_decode(limited.model, texts[0]));
  }
  const double n = double(found.count);
  std::printf("| %.2f | %.2f | %.3f | %.4f | %.1f %% | %.4f | %.2f |\n", setting.cover,
              setting.share, experts, found.kl / n, 100 * found.same / n, found.log_probability / n,
              slow / fast);
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
std::vector<float> shares(const char* path) {
  const auto cpu = make_backend("auto", 1);
  const LoadedModel loaded(path, *cpu, {.context_tokens = int(kTokensAFile)});
  const Counts& counts = loaded.model.counts();
  const Config& config = loaded.model.config();
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
  if (argc < 3) {
    std::fprintf(stderr, "expert_budget MODEL FILE...\n");
    return 2;
  }
  try {
    const Texts texts = read_texts(argv[1], argv + 2, argc - 2);
    size_t tokens = 0;
    for (const auto& text : texts) tokens += text.size();
    std::printf("%zu texts, %zu tokens\n\n", texts.size(), tokens);
    std::printf(
        "| coverage | active share | experts a token and layer | KL (nats) | same best "
        "token | log probability | decode |\n|---|---|---|---|---|---|---|\n");
    for (const float cover : {1.0f, 0.95f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f}) {
      report(argv[1], texts, {.cover = cover});
    }
    for (const float share : shares(argv[1])) report(argv[1], texts, {.share = share});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
