// The mixture of experts: who takes which token, and the experts' own feed-forwards.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend.h"

namespace ringside {
namespace {

float best_two(const float* scores, int size) {
  float first = -INFINITY, second = -INFINITY;
  for (int e = 0; e < size; e++) {
    if (scores[e] > first) {
      second = first;
      first = scores[e];
    } else {
      second = std::max(second, scores[e]);
    }
  }
  return size > 1 ? first + second : first;
}

// Leaves eligible only the topk_group groups whose two best experts sum highest. best: scratch,
// [n_experts].
void drop_groups(float* selection, float* best, const Router& router) {
  const int groups = std::min(router.n_group, router.n_experts), size = router.n_experts / groups;
  for (int g = 0; g < groups; g++) best[g] = best_two(selection + g * size, size);
  for (int dropped = groups - router.topk_group; dropped > 0; dropped--) {
    int worst = -1;
    for (int g = 0; g < groups; g++)
      if (best[g] < INFINITY && (worst < 0 || best[g] <= best[worst])) worst = g;
    if (worst < 0) return;
    best[worst] = INFINITY;
    std::fill_n(selection + worst * size, size, -INFINITY);
  }
}

// Logits become scores.
void score(const Dot& dot, float* scores, const Router& router) {
  const int count = router.n_experts;
  if (router.softmax) {
    const float sum = dot.exp_sum(scores, count, *std::max_element(scores, scores + count));
    for (int e = 0; e < count; e++) scores[e] /= sum;
  } else {
    for (int e = 0; e < count; e++) scores[e] = 1.0f / (1.0f + std::exp(-scores[e]));
  }
}

// How many of the choice run, in its order, for their scores to sum to `cover` of `total`.
int run_count(const float* scores, float total, const Router& router) {
  const int most = router.max_run > 0 ? std::min(router.max_run, router.top_k) : router.top_k;
  if (router.cover >= 1.0f) return most;
  float sum = 0.0f;
  for (int run = 1; run < most; run++) {
    sum += scores[run - 1];
    if (sum >= router.cover * total) return run;
  }
  return most;
}

// One token. selection, best: scratch, [n_experts].
void choose(int* experts, float* weights, const float* scores, float* selection, float* best,
            const Router& router) {
  for (int e = 0; e < router.n_experts; e++)
    selection[e] = scores[e] + (router.bias != nullptr ? router.bias[e] : 0.0f);
  if (router.n_group > 1) drop_groups(selection, best, router);
  for (int j = 0; j < router.top_k; j++) {
    float* next = std::max_element(selection, selection + router.n_experts);
    experts[j] = int(next - selection);
    weights[j] = scores[experts[j]];
    *next = -INFINITY;
  }
  const float total = std::accumulate(weights, weights + router.top_k, 1e-20f);
  const int run = run_count(weights, total, router);
  const float sum = std::accumulate(weights, weights + run, 1e-20f);
  const float factor = router.scale * (router.normalized ? 1.0f / sum : total / sum);
  for (int j = 0; j < run; j++) weights[j] *= factor;
  std::fill(experts + run, experts + router.top_k, -1);
  std::fill(weights + run, weights + router.top_k, 0.0f);
}

}  // namespace

void Cpu::route(int* experts, float* weights, const Router& router, const float* h, int n,
                const int* features, int n_active, int first_featured) {
  const int count = router.n_experts, dim = router.dim;
  run(int64_t(n) * count * dim, n, [&](int i) {
    const int64_t at = int64_t(i) * count;
    float* scores = scores_.data() + at;
    dot_.scores(scores, h + int64_t(i) * dim, router.w, dim, count, dim, 1.0f);
    for (int e = 0; router.syntax != nullptr && i >= first_featured && e < count; e++)
      for (int f = 0; f < n_active; f++)
        scores[e] += router.syntax[e * router.n_features + features[f]];
    score(dot_, scores, router);
    choose(experts + int64_t(i) * router.top_k, weights + int64_t(i) * router.top_k, scores,
           selection_.data() + at, group_best_.data() + at, router);
  });
}

// One expert's tokens, which lie at places first .. first+count-1.
void Cpu::run_expert(const FeedForward& expert, int first, int count) {
  const int hidden = expert.gate.rows, dim = expert.down.rows;
  float *gate = gate_.data() + int64_t(first) * hidden, *up = up_.data() + int64_t(first) * hidden;
  const Activations* x = expert_inputs_.row(first);
  multiply(gate, hidden, expert.gate, x, count, 0, hidden);
  multiply(up, hidden, expert.up, x, count, 0, hidden);
  dot_.silu(gate, up, int64_t(count) * hidden);
  hidden_inputs_.prepare_rows(dot_, gate, first, count, hidden, form_of(expert.down.type));
  multiply(out_.data() + int64_t(first) * dim, dim, expert.down, hidden_inputs_.row(first), count,
           0, dim);
}

// Prepares x in every form that the first `used` experts of used_ ask for: they may differ.
void Cpu::prepare_for(const FeedForward* all, int used, const float* x, int n, int cols) {
  for (const Form form : {Form::f32, Form::bf16, Form::paired, Form::integers}) {
    const auto asks = [&](int e) {
      return form_of(all[e].gate.type) == form || form_of(all[e].up.type) == form;
    };
    if (std::any_of(used_.begin(), used_.begin() + used, asks))
      inputs_.prepare(dot_, threads_, x, n, cols, form);
  }
}

void Cpu::experts(float* y, const ExpertSet& set, const int* experts, const float* weights,
                  int top_k, const float* x, int n) {
  const FeedForward* all = set.all.data();
  const int dim = all[0].down.rows, hidden = all[0].gate.rows, places = n * top_k;

  // Counting sort: the places of an expert's tokens lie together, in the order of the tokens.
  std::fill(first_of_.begin(), first_of_.end(), 0);
  int last_expert = 0;
  for (int p = 0; p < places; p++) {
    if (experts[p] < 0) continue;
    first_of_[size_t(experts[p]) + 1]++;
    last_expert = std::max(last_expert, experts[p]);
  }
  int used = 0;
  for (int e = 0; e <= last_expert; e++) {
    if (first_of_[size_t(e) + 1] > 0) used_[size_t(used++)] = e;
    first_of_[size_t(e) + 1] += first_of_[size_t(e)];
  }
  const int taken = first_of_[size_t(last_expert) + 1];
  prepare_for(all, used, x, n, dim);
  for (int p = 0; p < places; p++) {
    if (experts[p] < 0) continue;
    const int place = first_of_[size_t(experts[p])]++;
    place_[size_t(p)] = place;
    expert_inputs_.alias(place, inputs_, p / top_k);
  }

  run(int64_t(taken) * dim * hidden * 3, used, [&](int part) {
    const int e = used_[size_t(part)];
    const int first = e == 0 ? 0 : first_of_[size_t(e) - 1];  // each was moved on by its own count
    run_expert(all[e], first, first_of_[size_t(e)] - first);
  });
  for (int i = 0; i < n; i++, y += dim)
    for (int j = 0; j < top_k; j++) {  // in the order of choice, so that threads change nothing
      const int p = i * top_k + j;
      if (experts[p] < 0) continue;
      const float weight = weights[p];
      const float* out = out_.data() + int64_t(place_[size_t(p)]) * dim;
      for (int c = 0; c < dim; c++) y[c] += weight * out[c];
    }
}

}  // namespace ringside
