// From the router's logits to each token's experts and their weights.
#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kWarps = 4;  // tokens a block: a token is one warp's, whose lanes share the experts

// The best of a warp's candidates, the lowest index of equals.
struct Best {
  float value;
  int index;
};
__device__ Best warp_best(Best mine) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const float value = shuffle_xor(mine.value, mask);
    const int index = shuffle_xor(mine.index, mask);
    if (value > mine.value || (value == mine.value && index < mine.index)) mine = {value, index};
  }
  return mine;
}

// Logits become scores.
__device__ void score(float* scores, const Router& router) {
  const int count = router.n_experts, lane = lane_of();
  if (!router.softmax) {
    for (int e = lane; e < count; e += kWarp) scores[e] = 1.0f / (1.0f + expf(-scores[e]));
    return;
  }
  float top = -INFINITY, sum = 0.0f;
  for (int e = lane; e < count; e += kWarp) top = fmaxf(top, scores[e]);
  top = warp_max(top);
  for (int e = lane; e < count; e += kWarp) sum += scores[e] = expf(scores[e] - top);
  sum = warp_sum(sum);
  for (int e = lane; e < count; e += kWarp) scores[e] /= sum;
}

// Leaves eligible only the topk_group groups whose two best experts sum highest, the first of
// equals. sums: shared memory, [n_group].
__device__ void drop_groups(float* selection, float* sums, const Router& router) {
  const int size = router.n_experts / router.n_group, lane = lane_of();
  for (int g = lane; g < router.n_group; g += kWarp) {
    float best = -INFINITY, second = size > 1 ? -INFINITY : 0.0f;
    for (int e = g * size; e < (g + 1) * size; e++) {
      if (size > 1) second = fmaxf(second, fminf(best, selection[e]));
      best = fmaxf(best, selection[e]);
    }
    sums[g] = best + second;
  }
  sync_warp();
  for (int g = lane; g < router.n_group; g += kWarp) {
    int better = 0;
    for (int other = 0; other < router.n_group; other++) {
      better += sums[other] > sums[g] || (sums[other] == sums[g] && other < g) ? 1 : 0;
    }
    if (better < router.topk_group) continue;
    for (int e = g * size; e < (g + 1) * size; e++) selection[e] = -INFINITY;
  }
  sync_warp();
}

// Scores of the choice become weights, and those beyond the budget are taken back. One lane.
__device__ void spend(int* experts, float* weights, const Router& router) {
  float total = 1e-20f, sum = 1e-20f;
  for (int j = 0; j < router.top_k; j++) total += weights[j];
  int run = 0;
  while (run < router.top_k) {
    sum += weights[run++];
    if (router.cover < 1.0f && sum >= router.cover * total) break;
    if (run == router.max_run) break;
  }
  for (int j = 0; j < router.top_k; j++) {
    weights[j] =
        j < run ? weights[j] * router.scale * (router.normalized ? 1.0f / sum : total / sum) : 0.0f;
    if (j >= run) experts[j] = -1;
  }
}

// logits [n, n_experts] of a token's row, plus the columns of its syntax features; the rest as
// Router says. Bound by latency: a choice is top_k reductions of a warp.
__global__ void __launch_bounds__(kWarps* kWarp)
    choose_kernel(int* experts, float* weights, Router router, const float* logits, int n,
                  const int* features, int n_active, int first_featured) {
  const int token = int(blockIdx.x) * kWarps + warp_of(), lane = lane_of();
  if (token >= n) return;
  const int count = router.n_experts;
  float* scores = shared_memory<float>() + warp_of() * (2 * count + router.n_group);
  float *selection = scores + count, *sums = selection + count;
  for (int e = lane; e < count; e += kWarp) {
    float logit = logits[int64_t(token) * count + e];
    for (int f = 0; router.syntax != nullptr && token >= first_featured && f < n_active; f++) {
      logit += router.syntax[int64_t(e) * router.n_features + features[f]];
    }
    scores[e] = logit;
  }
  score(scores, router);
  for (int e = lane; e < count; e += kWarp) {
    selection[e] = scores[e] + (router.bias != nullptr ? router.bias[e] : 0.0f);
  }
  sync_warp();
  if (router.n_group > 1) drop_groups(selection, sums, router);
  experts += int64_t(token) * router.top_k;
  weights += int64_t(token) * router.top_k;
  for (int j = 0; j < router.top_k; j++) {
    Best best{-INFINITY, lane < count ? lane : 0};
    for (int e = lane; e < count; e += kWarp) {
      if (selection[e] > best.value) best = {selection[e], e};
    }
    best = warp_best(best);
    sync_warp();  // all have read what is written now
    if (lane == 0) {
      experts[j] = best.index;
      weights[j] = scores[best.index];
      selection[best.index] = -INFINITY;
    }
    sync_warp();
  }
  if (lane == 0) spend(experts, weights, router);
}

}  // namespace

void choose(const Queue& queue, int* experts, float* weights, const Router& router,
            const float* logits, int n, const int* features, int n_active, int first_featured) {
  if (n == 0) return;
  const size_t floats = size_t(kWarps) * size_t(2 * router.n_experts + router.n_group);
  launch(
      queue, "choose", choose_kernel,
      {.x = (n + kWarps - 1) / kWarps, .threads = kWarps * kWarp, .shared = floats * sizeof(float)},
      experts, weights, router, logits, n, features, n_active, first_featured);
}

}  // namespace ringside::cuda
