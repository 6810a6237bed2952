// The mixture of experts: who takes which token, and the experts' own feed-forwards.
#include <algorithm>
#include <cmath>

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

// Leaves eligible only the topk_group groups whose two best experts sum highest.
void drop_groups(float* selection, const Router& router) {
  const int size = router.n_experts / router.n_group;
  constexpr int kMaxGroups = 64;
  float rank[kMaxGroups];
  for (int g = 0; g < router.n_group; g++) rank[g] = best_two(selection + g * size, size);
  for (int dropped = router.n_group - router.topk_group; dropped > 0; dropped--) {
    int worst = -1;
    for (int g = 0; g < router.n_group; g++)
      if (rank[g] < INFINITY && (worst < 0 || rank[g] <= rank[worst])) worst = g;
    rank[worst] = INFINITY;
    std::fill_n(selection + worst * size, size, -INFINITY);
  }
}

void choose(int* experts, float* weights, float* probability, float* selection,
            const Router& router) {
  for (int e = 0; e < router.n_experts; e++) {
    probability[e] = 1.0f / (1.0f + std::exp(-probability[e]));
    selection[e] = probability[e] + (router.bias != nullptr ? router.bias[e] : 0.0f);
  }
  if (router.n_group > 1) drop_groups(selection, router);
  float sum = 1e-20f;
  for (int j = 0; j < router.top_k; j++) {
    float* best = std::max_element(selection, selection + router.n_experts);
    experts[j] = int(best - selection);
    weights[j] = probability[experts[j]];
    sum += weights[j];
    *best = -INFINITY;
  }
  for (int j = 0; j < router.top_k; j++) weights[j] *= router.scale / sum;
}

}  // namespace

void Cpu::route(int* experts, float* weights, const Router& router, const float* h, int n,
                const int* features, int n_active, int first_featured) {
  const int count = router.n_experts, dim = router.dim;
  run(int64_t(n) * count * dim, n, [&](int i) {
    float* logits = probability_.data() + int64_t(i) * count;
    dot_.scores(logits, h + int64_t(i) * dim, router.w, dim, count, dim, 1.0f);
    for (int e = 0; router.syntax != nullptr && i >= first_featured && e < count; e++)
      for (int f = 0; f < n_active; f++)
        logits[e] += router.syntax[e * router.n_features + features[f]];
    choose(experts + int64_t(i) * router.top_k, weights + int64_t(i) * router.top_k, logits,
           selection_.data() + int64_t(i) * count, router);
  });
}

// One expert's tokens, which lie at places first .. first+count-1.
void Cpu::run_expert(const FeedForward& expert, int first, int count) {
  const int hidden = expert.gate.rows, dim = expert.down.rows;
  float *gate = gate_.data() + int64_t(first) * hidden, *up = up_.data() + int64_t(first) * hidden;
  const Activations* x = expert_inputs_.row(first);
  multiply(gate, expert.gate, x, count, 0, hidden);
  multiply(up, expert.up, x, count, 0, hidden);
  dot_.silu(gate, up, int64_t(count) * hidden);
  hidden_inputs_.prepare_rows(dot_, gate, first, count, hidden, expert.down.type);
  multiply(out_.data() + int64_t(first) * dim, expert.down, hidden_inputs_.row(first), count, 0,
           dim);
}

// Prepares x for every type that the first `used` experts of used_ have: they may differ.
void Cpu::prepare_for(const FeedForward* all, int used, const float* x, int n, int cols) {
  for (const Type type : {Type::int4, Type::f8, Type::bf16, Type::f16, Type::f32}) {
    const auto has = [&](int e) { return all[e].gate.type == type || all[e].up.type == type; };
    if (std::any_of(used_.begin(), used_.begin() + used, has))
      inputs_.prepare(dot_, threads_, x, n, cols, type);
  }
}

void Cpu::experts(float* y, const FeedForward* all, const int* experts, const float* weights,
                  int top_k, const float* x, int n) {
  const int dim = all[0].down.rows, hidden = all[0].gate.rows, places = n * top_k;

  // Counting sort: the places of an expert's tokens lie together, in the order of the tokens.
  std::fill(first_of_.begin(), first_of_.end(), 0);
  int last_expert = 0;
  for (int p = 0; p < places; p++) {
    first_of_[size_t(experts[p]) + 1]++;
    last_expert = std::max(last_expert, experts[p]);
  }
  int used = 0;
  for (int e = 0; e <= last_expert; e++) {
    if (first_of_[size_t(e) + 1] > 0) used_[size_t(used++)] = e;
    first_of_[size_t(e) + 1] += first_of_[size_t(e)];
  }
  prepare_for(all, used, x, n, dim);
  for (int p = 0; p < places; p++) {
    const int place = first_of_[size_t(experts[p])]++;
    place_[size_t(p)] = place;
    expert_inputs_.alias(place, inputs_, p / top_k);
  }

  run(int64_t(places) * dim * hidden * 3, used, [&](int part) {
    const int e = used_[size_t(part)];
    const int first = e == 0 ? 0 : first_of_[size_t(e) - 1];  // each was moved on by its own count
    run_expert(all[e], first, first_of_[size_t(e)] - first);
  });
  for (int i = 0; i < n; i++, y += dim)
    for (int j = 0; j < top_k; j++) {  // in the order of choice, so that threads change nothing
      const int p = i * top_k + j;
      const float weight = weights[p];
      const float* out = out_.data() + int64_t(place_[size_t(p)]) * dim;
      for (int c = 0; c < dim; c++) y[c] += weight * out[c];
    }
}

}  // namespace ringside
