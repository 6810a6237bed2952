// Drawing the next token where its logits are.
//
// The same tokens as kernels/sampler.cpp draws, but for rounding: those are sorted by probability,
// and the first whose cumulated probability passes a random number is drawn. Sorting 150,000 is
// slow on one block, so here the place in that order is searched for: probabilities are summed by
// the upper bits of their own bits as floats (which sort as they do), in four rounds of eight bits.
// Sums are integers, so that their order does not change them.
#include "gpu.h"
#include "ops.h"

namespace ringside::cuda {

namespace {

constexpr int kThreads = 1024;
constexpr int kPartThreads = 256;
constexpr float kUnit = 0x1p38f;  // of a mass; the vocabulary's 2^24 at most do not overflow

// ---- the best of a part of the logits, and the sum of exp(logit - best) ----

__device__ DrawPart merge(const DrawPart& a, const DrawPart& b) {
  if (b.index < 0) return a;
  if (a.index < 0) return b;
  const bool first = a.top > b.top || (a.top == b.top && a.index < b.index);
  DrawPart result = first ? a : b;
  result.sum = a.sum * expf(a.top - result.top) + b.sum * expf(b.top - result.top);
  result.finite = a.finite & b.finite;
  return result;
}

__device__ DrawPart shuffle_part(const DrawPart& part, int mask) {
  return {shuffle_xor(part.top, mask), shuffle_xor(part.sum, mask), shuffle_xor(part.index, mask),
          shuffle_xor(part.finite, mask)};
}

// Of a block's threads, given to thread 0.
template <int kBlock>
__device__ DrawPart merge_block(DrawPart part) {
  __shared__ DrawPart parts[kWarp];
  for (int mask = kWarp / 2; mask > 0; mask /= 2) part = merge(part, shuffle_part(part, mask));
  if (lane_of() == 0) parts[warp_of()] = part;
  __syncthreads();
  part = lane_of() < kBlock / kWarp ? parts[lane_of()] : DrawPart{0.0f, 0.0f, -1, 1};
  for (int mask = kWarp / 2; mask > 0; mask /= 2) part = merge(part, shuffle_part(part, mask));
  return part;
}

// A block a part of the logits, all of them seen once. Bound by bandwidth.
__global__ void __launch_bounds__(kPartThreads)
    part_kernel(DrawPart* parts, const float* logits, int count) {
  DrawPart part{0.0f, 0.0f, -1, 1};
  const int step = int(gridDim.x) * kPartThreads;
  for (int i = int(blockIdx.x) * kPartThreads + int(threadIdx.x); i < count; i += step) {
    const float logit = logits[i];
    const int finite = (float_to_bits(logit) & 0x7f800000u) != 0x7f800000u ? 1 : 0;
    part = merge(part, {finite != 0 ? logit : 0.0f, 1.0f, i, finite});
  }
  part = merge_block<kPartThreads>(part);
  if (threadIdx.x == 0) parts[blockIdx.x] = part;
}

int parts_of(int count) {
  const int wanted = (count + 4 * kPartThreads - 1) / (4 * kPartThreads);
  return wanted < kMaxDrawParts ? wanted : kMaxDrawParts;
}

// ---- mixing ----

// One block: the parts become one, and a thread changes a candidate's logit.
__global__ void __launch_bounds__(kPartThreads)
    mix_kernel(float* logits, const DrawPart* parts, int n_parts, const Candidate* copied, int n,
               float share) {
  __shared__ float total;
  DrawPart part{0.0f, 0.0f, -1, 1};
  for (int i = int(threadIdx.x); i < n_parts; i += kPartThreads) part = merge(part, parts[i]);
  part = merge_block<kPartThreads>(part);
  if (threadIdx.x == 0) total = part.top + logf(part.sum);
  __syncthreads();
  for (int i = int(threadIdx.x); i < n; i += kPartThreads) {
    float* logit = logits + copied[i].token;
    const float p = (1.0f - share) * expf(*logit - total) + share * copied[i].probability;
    *logit = total + logf(p) - log1pf(-share);
  }
}

// ---- the draw ----

using Mass = unsigned long long;

// What the block knows of the distribution.
struct Distribution {
  const float* logits;
  int count;
  float top, temperature;

  __device__ float probability(int i) const { return expf((logits[i] - top) / temperature); }
};

__device__ Mass mass_of(float probability) { return Mass(probability * kUnit); }

// bins[bin] += mass, of each lane that `adds`. A word's bits differ little in most of a vocabulary:
// what a warp has for one bin is added at once, where 32 lanes would wait for one another.
__device__ void add_to(Mass* bins, bool adds, int bin, Mass mass) {
  for (unsigned rest = ballot(adds); rest != 0;) {
    const int leader = first_lane(rest), its = shuffle(bin, leader);
    const bool same = adds && bin == its;
    Mass sum = same ? mass : 0;
    for (int mask = kWarp / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    if (lane_of() == leader) atomicAdd(&bins[bin], sum);
    rest &= ~ballot(same);
  }
}

// Where in the order of probabilities the cumulated mass first reaches `target`: the bits of that
// probability, and the mass of those before. target 1 .. the total. The whole block calls it.
struct Place {
  uint32_t key;
  Mass before;
};
__device__ Place find(const Distribution& distribution, Mass target) {
  __shared__ Mass bins[256];
  __shared__ Place found;
  if (threadIdx.x == 0) found = {0, 0};
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int b = int(threadIdx.x); b < 256; b += kThreads) bins[b] = 0;
    __syncthreads();
    const Place place = found;
    for (int first = 0; first < distribution.count; first += kThreads) {
      const int i = first + int(threadIdx.x);
      const float p = i < distribution.count ? distribution.probability(i) : 0.0f;
      const uint32_t key = float_to_bits(p);
      const bool candidate = shift == 24 || key >> (shift + 8) == place.key >> (shift + 8);
      const Mass mass = mass_of(p);
      add_to(bins, candidate && mass > 0, int(key >> shift & 255), mass);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      Mass sum = place.before;
      int b = 255;
      while (b > 0 && sum + bins[b] < target) sum += bins[b--];
      found = {place.key | uint32_t(b) << shift, sum};
    }
    __syncthreads();
  }
  const Place place = found;
  __syncthreads();  // before another search changes it
  return place;
}

// The token that is number `rank` of those of probability `key`, in the order of their ids.
__device__ int token_at(const Distribution& distribution, uint32_t key, Mass rank) {
  __shared__ int counts[kWarp];
  __shared__ int token;
  Mass seen = 0;
  if (threadIdx.x == 0) token = 0;
  for (int first = 0; first < distribution.count; first += kThreads) {
    const int i = first + int(threadIdx.x);
    const bool hit = i < distribution.count && float_to_bits(distribution.probability(i)) == key;
    const unsigned votes = ballot(hit);
    __syncthreads();  // the counts of the last round have been read
    if (lane_of() == 0) {
      int bits = 0;
      for (unsigned rest = votes; rest != 0; rest &= rest - 1) bits++;
      counts[warp_of()] = bits;
    }
    __syncthreads();
    Mass before = seen, all = 0;
    for (int w = 0; w < kThreads / kWarp; w++) {
      if (w < warp_of()) before += Mass(counts[w]);
      all += Mass(counts[w]);
    }
    const unsigned lower = votes & ((1u << lane_of()) - 1u);
    for (unsigned rest = lower; rest != 0; rest &= rest - 1) before++;
    if (hit && before == rank) token = i;
    seen += all;
    if (seen > rank) break;  // the same for all threads
  }
  __syncthreads();
  return token;
}

// splitmix64, as the host's sampler: draw number n of a seed, in [0, 1).
__device__ double uniform(unsigned long long seed, int number) {
  unsigned long long z = seed + (unsigned long long)(number + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return double(z >> 11) * 0x1.0p-53;
}

__device__ int draw(const Distribution& distribution, const DrawState& state) {
  __shared__ Mass total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  Mass mine = 0;
  for (int i = int(threadIdx.x); i < distribution.count; i += kThreads) {
    mine += mass_of(distribution.probability(i));
  }
  atomicAdd(&total, mine);
  __syncthreads();

  // The smallest set of best tokens that has top_p of the mass, the last of equals left out.
  const Mass all = total;
  Mass kept = all;
  if (state.top_p < 1.0f) {
    Mass target = Mass(double(all) * double(state.top_p));
    if (target < 1) target = 1;
    const Place end = find(distribution, target);
    const Mass each = mass_of(bits_to_float(end.key));
    kept = end.before + (each > 0 ? (target - end.before + each - 1) / each * each : 0);
  }
  Mass target = Mass(uniform(state.seed, state.drawn) * double(kept)) + 1;
  if (target > kept) target = kept;
  if (target < 1) target = 1;
  const Place place = find(distribution, target);
  const Mass each = mass_of(bits_to_float(place.key));
  return token_at(distribution, place.key, each > 0 ? (target - place.before - 1) / each : 0);
}

// One block: the parts become one, and a token is drawn. Greedy needs no more than the parts;
// otherwise bound by the ten looks at the logits, which are in L2.
__global__ void __launch_bounds__(kThreads)
    draw_kernel(DrawState* state, Choice* choices, Token* next, const DrawPart* parts, int n_parts,
                const float* logits, int count) {
  __shared__ DrawPart whole;
  DrawPart part{0.0f, 0.0f, -1, 1};
  for (int i = int(threadIdx.x); i < n_parts; i += kThreads) part = merge(part, parts[i]);
  part = merge_block<kThreads>(part);
  if (threadIdx.x == 0) whole = part;
  __syncthreads();
  int token = whole.index;
  if (state->temperature > 0.0f && whole.finite != 0) {
    token = draw({logits, count, whole.top, state->temperature}, *state);
  }
  __syncthreads();  // all have read the state
  if (threadIdx.x != 0) return;
  if (whole.finite == 0) token = 0;
  Choice& choice = choices[state->drawn % 2];
  choice.token = token;
  choice.log_probability = logits[token] - whole.top - logf(whole.sum);
  choice.finite = whole.finite != 0;
  *next = token;
  state->drawn++;
}

__global__ void begin_kernel(DrawState* state, DrawState first) { *state = first; }

}  // namespace

void begin_drawing(const Queue& queue, DrawState* state, DrawState first) {
  launch(queue, "begin drawing", begin_kernel, {.threads = 1}, state, first);
}

void mix(const Queue& queue, float* logits, int count, DrawPart* parts, const Candidate* copied,
         int n, float share) {
  const int n_parts = parts_of(count);
  launch(queue, "mix parts", part_kernel, {.x = n_parts, .threads = kPartThreads}, parts, logits,
         count);
  launch(queue, "mix", mix_kernel, {.threads = kPartThreads}, logits, parts, n_parts, copied, n,
         share);
}

void draw(const Queue& queue, DrawState* state, Choice* choices, Token* next, DrawPart* parts,
          const float* logits, int count) {
  const int n_parts = parts_of(count);
  launch(queue, "draw parts", part_kernel, {.x = n_parts, .threads = kPartThreads}, parts, logits,
         count);
  launch(queue, "draw", draw_kernel, {.threads = kThreads}, state, choices, next, parts, n_parts,
         logits, count);
}

}  // namespace ringside::cuda
