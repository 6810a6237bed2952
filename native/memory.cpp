#include "memory.h"

#include <algorithm>
#include <cstdio>

#include "error.h"
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

// What a plan is made for.
struct Wish {
  const Config& config;
  const WeightBytes& bytes;
  const Backend* host;
  int layers;
};

MemoryPlan candidate(const Wish& wish, int context, int batch, int every) {
  const Config& c = wish.config;
  MemoryPlan plan;
  plan.context_tokens = context;
  plan.max_batch = batch;
  plan.checkpoint_every = every;
  plan.weights = wish.bytes.fixed;
  const int end = std::min(wish.layers, c.num_hidden_layers);
  for (int l = 0; l < end; l++) plan.sequence += Sequence::bytes_for(c, l, context, every);
  if (wish.host != nullptr) plan.scratch = scratch_bytes(c, *wish.host, batch, context);
  return plan;
}

size_t without_experts(const MemoryPlan& plan) {
  return kProcess + plan.weights + plan.sequence + plan.scratch;
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
void check_computer(const MemoryPlan& plan, size_t there) {
  const size_t needed = plan.sequence + plan.scratch;
  if (needed <= there) return;
  throw EngineError(ErrorCode::out_of_memory,
                    "A context of " + std::to_string(plan.context_tokens) + " tokens needs " +
                        size_text(needed) + ", and this computer has " + size_text(there) +
                        ". Load with fewer contextTokens, or set a limit, which shortens it.");
}

}  // namespace

RowSizes::RowSizes(const Config& c)
    : hidden(c.hidden_size),
      attention(c.attention_dim()),
      ffn(std::max(c.has_dense() ? c.intermediate_size : 0,
                   c.num_experts > 0 ? c.shared_intermediate_size : 0)),
      gate(std::max(attention, ffn)) {
  int kv_heads = 0;
  for (int l = 0; l < c.num_hidden_layers; l++) kv_heads = std::max(kv_heads, c.kv_heads(l));
  qkv = attention + 2 * kv_heads * c.head_dim;
}

Limits limits_of(const Config& c, int batch, int context_tokens) {
  const RowSizes row(c);
  const int widest = std::max({row.hidden, row.gate, c.moe_intermediate_size});
  return {.max_batch = batch,
          .max_cols = widest,
          .max_rows = std::max(widest, row.qkv),
          .max_experts = c.num_experts,
          .max_top_k = c.num_experts_per_tok,
          .max_hidden = c.moe_intermediate_size,
          .max_context = context_tokens,
          .max_heads = c.num_attention_heads,
          .max_head_dim = c.head_dim};
}

// A test compares this with what is allocated.
size_t scratch_bytes(const Config& c, const Backend& backend, int batch, int context_tokens) {
  const RowSizes row(c);
  const int values =
      3 * row.hidden + row.qkv + row.attention + row.gate + row.ffn + 2 * c.num_experts_per_tok + 1;
  return (size_t(batch) * size_t(values) + kLogitRows * size_t(c.vocab_size)) * sizeof(float) +
         backend.reserved_bytes(limits_of(c, batch, context_tokens));
}

std::string size_text(size_t bytes) {
  char text[32];
  const double mb = double(bytes) / 1e6;
  std::snprintf(text, sizeof text, mb < 1000 ? "%.0f MB" : "%.2f GB", mb < 1000 ? mb : mb / 1000);
  return text;
}

MemoryPlan plan_memory(const Config& config, const WeightBytes& bytes, size_t budget,
                       int context_tokens, int max_batch, const Backend* host, int layers,
                       size_t there) {
  const Wish all = {config, bytes, host, layers};
  const auto finish = [&](MemoryPlan plan, size_t expert_cache) {
    plan.budget = budget;
    plan.expert_cache = expert_cache;
    plan.explanation = explain(plan, bytes, context_tokens, max_batch);
    return plan;
  };
  const MemoryPlan wish = candidate(all, context_tokens, max_batch, Checkpoints::kEvery);
  if (budget == 0) check_computer(wish, there);
  if (budget == 0 || without_experts(wish) + bytes.routed <= budget) return finish(wish, 0);

  const int least_context = std::min(context_tokens, kLeastContext);
  for (int context = context_tokens;; context = std::max(context / 2, least_context)) {
    for (const bool paged : {false, true}) {
      for (const int batch : kBatches) {
        for (const int every : kEvery) {
          const MemoryPlan plan = candidate(all, context, std::min(batch, max_batch), every);
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
      candidate(all, least_context, std::min(kBatches[2], max_batch), kEvery[1]);
  const size_t needed = without_experts(least) + touched_bytes(config, bytes, least.max_batch);
  throw EngineError(ErrorCode::out_of_memory,
                    "The model needs at least " + size_text(needed) + " and may take " +
                        size_text(budget) +
                        ". Choose a smaller model or one with fewer bits, or raise "
                        "\"ringside.memoryMB\".");
}

}  // namespace ringside
