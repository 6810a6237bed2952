#include "memory.h"

#include <algorithm>
#include <cstdio>

#include "error.h"
#include "mapping.h"
#include "sequence.h"

namespace ringside {

namespace {

// The process without a model: Node, the grammars, the tokenizer. (The server's peak was 84 MB
// beside a tiny model; the rest is for vocabularies of 150,000 tokens.)
constexpr size_t kProcess = 128u << 20;
constexpr int kLeastContext = 512;  // tokens; less holds no useful prompt
constexpr int kBatches[] = {256, 64, 16};
constexpr int kEvery[] = {Checkpoints::kEvery, 4 * Checkpoints::kEvery};
// Where experts are paged, the context takes at most this share of the limit: the rest keeps
// experts.
constexpr double kSequenceShare = 0.25;

// The routed experts of one layer that a batch can touch, at most all of them.
size_t touched_bytes(const Config& c, const WeightBytes& bytes, int batch) {
  if (c.num_experts == 0) return 0;
  const int touched = std::min(c.num_experts, batch * c.num_experts_per_tok);
  return bytes.layer_routed / size_t(c.num_experts) * size_t(touched);
}

MemoryPlan candidate(const Config& c, const WeightBytes& bytes, int context, int batch, int every,
                     int layers) {
  MemoryPlan plan;
  plan.context_tokens = context;
  plan.max_batch = batch;
  plan.checkpoint_every = every;
  plan.weights = bytes.fixed;
  const int end = std::min(layers, c.num_hidden_layers);
  for (int l = 0; l < end; l++) plan.sequence += Sequence::bytes_for(c, l, context, every);
  plan.scratch = scratch_bytes(c, batch);
  return plan;
}

size_t without_experts(const MemoryPlan& plan) {
  return kProcess + plan.weights + plan.sequence + plan.scratch;
}

std::string size_text(size_t bytes) {
  char text[32];
  const double mb = double(bytes) / 1e6;
  std::snprintf(text, sizeof text, mb < 1000 ? "%.0f MB" : "%.2f GB", mb < 1000 ? mb : mb / 1000);
  return text;
}

std::string explain(const MemoryPlan& plan, const WeightBytes& bytes, int wanted, int batch) {
  std::string text =
      plan.budget == 0 ? "No memory limit" : "Memory limit " + size_text(plan.budget);
  text += ": weights " + size_text(plan.weights);
  if (bytes.routed > 0) {
    text += plan.expert_cache == 0 ? ", experts " + size_text(bytes.routed)
                                   : ", experts paged, " + size_text(plan.expert_cache) + " of " +
                                         size_text(bytes.routed) + " at once";
  }
  text +=
      ", context of " + std::to_string(plan.context_tokens) + " tokens " + size_text(plan.sequence);
  if (plan.context_tokens < wanted) {
    text += " (" + std::to_string(wanted) + " were asked for and do not fit)";
  }
  text += ", batches of " + std::to_string(plan.max_batch) + " " + size_text(plan.scratch);
  if (plan.max_batch < batch) text += " (smaller, to fit)";
  return text + ".";
}

// Systems promise memory that they lack, and end whoever then touches it. Weights are not counted:
// they are mapped, and come and go as they are needed.
void check_computer(const MemoryPlan& plan) {
  const size_t needed = plan.sequence + plan.scratch, there = physical_memory();
  if (needed <= there) return;
  throw EngineError(ErrorCode::out_of_memory,
                    "A context of " + std::to_string(plan.context_tokens) + " tokens needs " +
                        size_text(needed) + ", and this computer has " + size_text(there) +
                        ". Load with fewer contextTokens, or set a limit, which shortens it.");
}

}  // namespace

// Activations of one batch: what Model and the CPU backend allocate. (A test compares.)
size_t scratch_bytes(const Config& c, int batch) {
  // A row of inputs rounded: int8 in two orders, bfloat16, and for each 32 ten floats of scales and
  // sums; rows end with a chunk of 256.
  const auto rounded = [](size_t cols) { return (cols + 255) / 256 * 256 * 21 / 4; };
  const size_t hidden = size_t(c.hidden_size), attention = size_t(c.attention_dim());
  const size_t ffn = size_t(std::max(c.has_dense() ? c.intermediate_size : 0,
                                     c.num_experts > 0 ? c.shared_intermediate_size : 0));
  const size_t top_k = size_t(c.num_experts_per_tok), expert = size_t(c.moe_intermediate_size);
  const size_t widest = std::max({hidden, attention, ffn, expert});
  size_t kv_heads = 0;
  for (int l = 0; l < c.num_hidden_layers; l++) {
    kv_heads = std::max(kv_heads, size_t(c.kv_heads(l)));
  }
  const size_t qkv = attention + 2 * kv_heads * size_t(c.head_dim);
  const size_t floats = 3 * hidden + qkv + attention + std::max(attention, ffn) + ffn +
                        top_k * (2 * expert + widest + 3) + 3 * size_t(c.num_experts);
  const size_t rows = (1 + 2 * top_k) * 6 * sizeof(float*);  // where each form of a row lies
  const size_t inputs = rounded(widest) + top_k * rounded(expert) + rows;
  return size_t(batch) * (floats * sizeof(float) + inputs) + size_t(c.vocab_size) * sizeof(float);
}

MemoryPlan plan_memory(const Config& config, const WeightBytes& bytes, size_t budget,
                       int context_tokens, int max_batch, int layers) {
  const auto finish = [&](MemoryPlan plan, size_t expert_cache) {
    plan.budget = budget;
    plan.expert_cache = expert_cache;
    plan.explanation = explain(plan, bytes, context_tokens, max_batch);
    return plan;
  };
  const MemoryPlan wish =
      candidate(config, bytes, context_tokens, max_batch, Checkpoints::kEvery, layers);
  if (budget == 0) check_computer(wish);
  if (budget == 0 || without_experts(wish) + bytes.routed <= budget) return finish(wish, 0);

  const int least_context = std::min(context_tokens, kLeastContext);
  for (int context = context_tokens;; context = std::max(context / 2, least_context)) {
    for (const bool paged : {false, true}) {
      for (const int batch : kBatches) {
        for (const int every : kEvery) {
          const MemoryPlan plan =
              candidate(config, bytes, context, std::min(batch, max_batch), every, layers);
          const size_t rest = without_experts(plan);
          const size_t experts =
              paged ? touched_bytes(config, bytes, plan.max_batch) : bytes.routed;
          if (rest + experts > budget) continue;
          const bool crowds_out = paged && context > least_context &&
                                  double(plan.sequence) > kSequenceShare * double(budget);
          if (!crowds_out) return finish(plan, paged ? budget - rest : 0);
        }
      }
      if (bytes.routed == 0) break;
    }
    if (context == least_context) break;
  }
  const MemoryPlan least =
      candidate(config, bytes, least_context, std::min(kBatches[2], max_batch), kEvery[1], layers);
  const size_t needed = without_experts(least) + touched_bytes(config, bytes, least.max_batch);
  throw EngineError(ErrorCode::out_of_memory,
                    "The model needs at least " + size_text(needed) + " and may take " +
                        size_text(budget) +
                        ". Choose a smaller model or one with fewer bits, or raise "
                        "\"ringside.memoryMB\".");
}

}  // namespace ringside
