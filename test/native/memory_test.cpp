#include "memory.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <numeric>

#include "allocations.h"
#include "error.h"
#include "families.h"
#include "loaded_model.h"
#include "pager.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

constexpr size_t kMb = 1000 * 1000;

// Ring-mini-linear-2.0's shape.
Config ring_mini() {
  return config_from_json(
      R"({"architectures": ["BailingMoeLinearV2ForCausalLM"], "model_type": "bailing_moe_linear",
    "vocab_size": 157184, "hidden_size": 2048, "intermediate_size": 5120,
    "moe_intermediate_size": 512, "num_hidden_layers": 20, "num_attention_heads": 16,
    "num_key_value_heads": 4, "head_dim": 128, "layer_group_size": 5, "group_norm_size": 4,
    "partial_rotary_factor": 0.5, "rope_theta": 1000000, "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6, "num_experts": 256, "num_experts_per_tok": 8, "num_shared_experts": 1,
    "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5, "first_k_dense_replace": 1})",
      "config.json");
}

const auto kHost = make_backend("auto", 1);

constexpr WeightBytes kRingMini = {800 * kMb, 8600 * kMb, 453 * kMb};

size_t total(const MemoryPlan& plan) {
  return plan.weights + plan.expert_cache + plan.sequence + plan.scratch;
}

}  // namespace

TEST_CASE("without a limit a plan is what was asked for") {
  const MemoryPlan plan = plan_memory(ring_mini(), kRingMini, 0, 8192, 256, kHost.get());
  CHECK(plan.context_tokens == 8192);
  CHECK(plan.max_batch == 256);
  CHECK(plan.expert_cache == 0);
  CHECK(plan.explanation.find("No memory limit") == 0);
}

TEST_CASE("within a limit experts are paged before the context gets shorter") {
  const MemoryPlan plan = plan_memory(ring_mini(), kRingMini, 4000 * kMb, 4096, 256, kHost.get());
  CHECK(plan.context_tokens == 4096);
  CHECK(plan.expert_cache >= kRingMini.layer_routed);
  CHECK(total(plan) <= 4000 * kMb);
  CHECK(plan.explanation.find("experts paged") != std::string::npos);
}

TEST_CASE("a tighter limit shortens the context, and the plan says so") {
  const MemoryPlan plan = plan_memory(ring_mini(), kRingMini, 2200 * kMb, 65536, 256, kHost.get());
  CHECK(plan.context_tokens < 65536);
  CHECK(plan.context_tokens >= 512);
  CHECK(total(plan) <= 2200 * kMb);
  CHECK(plan.explanation.find("65536 were asked for") != std::string::npos);
}

TEST_CASE("more memory never gives less") {
  MemoryPlan before;
  bool any = false;
  for (size_t mb = 500; mb <= 14000; mb += 250) {
    MemoryPlan plan;
    try {
      plan = plan_memory(ring_mini(), kRingMini, mb * kMb, 32768, 256, kHost.get());
    } catch (const EngineError& error) {
      CHECK(error.code() == ErrorCode::out_of_memory);
      CHECK_FALSE(any);
      continue;
    }
    CAPTURE(mb);
    CHECK(plan.context_tokens >= before.context_tokens);
    CHECK(total(plan) <= mb * kMb);
    before = plan;
    any = true;
  }
  CHECK(before.expert_cache == 0);  // all of it fits into 14 GB
}

TEST_CASE("too little for anything says what would do") {
  try {
    plan_memory(ring_mini(), kRingMini, 100 * kMb, 4096, 256, kHost.get());
    FAIL("the plan was made");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    CHECK(std::string(error.what()).find("needs at least 1.") != std::string::npos);
    CHECK(std::string(error.what()).find("may take 100 MB") != std::string::npos);
  }
}

TEST_CASE("a plan's activations are what is allocated for them") {
  for (const char* changes :
       {R"("hidden_size": 256)", R"("num_experts": 64, "num_experts_per_tok": 6)",
        R"("num_experts": 0, "intermediate_size": 512)"}) {
    CAPTURE(changes);
    const TemporaryFolder folder;
    const std::string ring = R"("ring_window": 0, )";  // batches of 256
    write_tiny_model(folder.path(), tiny_config(ring + changes), "mixed");
    const ModelFiles files(folder.path());
    const auto backend = make_backend("auto", 1);
    const size_t start = allocated_bytes();
    const Weights weights(files, [](float) {});
    const size_t before = allocated_bytes();
    const Model model(files, *backend, {}, [](float) {});
    const size_t allocated = allocated_bytes() - before - (before - start);  // less its own weights
    const double ratio = double(allocated) / double(model.memory().scratch);
    MESSAGE(changes << ": allocated " << ratio << " of what was planned");
    CHECK(ratio > 0.95);
    CHECK(ratio < 1.05);
  }
}

TEST_CASE("a model whose experts are paged computes the same") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(R"("num_experts": 64)"), "mixed");
  const auto backend = make_backend("auto", 1);
  ModelOptions options;
  options.context_tokens = 64;
  LoadedModel whole(folder.path(), *backend, options);
  options.memory_bytes = size_t(1) << 40;
  const auto paged = [&] {  // the largest limit, in steps, within which not all experts may stay
    for (;; options.memory_bytes -= 64 << 10) {
      auto loaded = std::make_unique<LoadedModel>(folder.path(), *backend, options);
      if (loaded->model.pager() != nullptr) return loaded;
      const MemoryPlan& plan = loaded->model.memory();
      const size_t all = (size_t(128) << 20) + plan.weights + plan.sequence + plan.scratch +
                         loaded->model.weight_bytes().routed;
      options.memory_bytes = std::min(options.memory_bytes, all + (64 << 10));
    }
  }();
  std::vector<Token> tokens(48);
  std::iota(tokens.begin(), tokens.end(), 100);
  const auto logits_of = [&](LoadedModel& loaded) {
    Sequence sequence(loaded.model.config(), *backend, loaded.model.context_tokens());
    for (const Token& token : tokens) loaded.model.read(sequence, {&token, 1});
    const auto logits = loaded.model.logits(0);
    return std::vector<float>(logits.begin(), logits.end());
  };
  CHECK(logits_of(*paged) == logits_of(whole));
  CHECK(paged->model.pager()->resident_bytes() <= paged->model.memory().expert_cache);
  CHECK(paged->model.pager()->loads() > 0);
}

TEST_CASE("the least recently used experts are dropped for others") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(), "mixed");
  const auto backend = make_backend("auto", 1);
  LoadedModel loaded(folder.path(), *backend);
  const auto& layers = loaded.model.weights().layers;
  const size_t expert = data_bytes(layers[1].experts[0].gate) * 4;  // more than one, less than all
  ExpertPager pager(layers, loaded.files, expert);
  const int first[] = {0, 3, -1, 3}, second[] = {1, 2};
  pager.touch(1, first);
  const size_t two = pager.resident_bytes();
  CHECK(two > 0);
  CHECK(pager.loads() == 2);
  pager.touch(1, first);
  CHECK(pager.loads() == 2);
  pager.touch(2, second);  // of another layer: the first two have to go
  CHECK(pager.resident_bytes() <= std::max(expert, two));
  pager.touch(1, first);
  CHECK(pager.loads() > 4);
}

TEST_CASE("batches that take every expert find some of them again") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(R"("num_hidden_layers": 6)"), "mixed");
  const auto backend = make_backend("auto", 1);
  LoadedModel loaded(folder.path(), *backend);
  const auto& layers = loaded.model.weights().layers;
  std::vector<int> every(layers.back().experts.size());
  std::iota(every.begin(), every.end(), 0);
  ExpertPager all(layers, loaded.files, SIZE_MAX);
  const auto read_batch = [&](ExpertPager& pager) {
    for (size_t l = 0; l < layers.size(); l++) {
      if (!layers[l].experts.empty()) pager.touch(int(l), every);
    }
    return pager.loads();
  };
  const size_t experts = read_batch(all), limit = all.resident_bytes() / 2;

  ExpertPager pager(layers, loaded.files, limit);
  CHECK(read_batch(pager) == experts);
  for (int batch = 2; batch < 5; batch++) {
    const size_t before = pager.loads(), loads = read_batch(pager) - before;
    CAPTURE(batch);
    // Half fits, of which one layer at a time is passing through: the least recently used would
    // each be dropped just before their turn, and all be read again.
    CHECK(loads < experts * 3 / 4 + every.size() / 2);
    CHECK(pager.resident_bytes() <= limit);
  }
}
