// Engines whose layers run on a GPU.
#include "gpu.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "decoder.h"
#include "engine.h"
#include "error.h"
#include "gpu_library.h"
#include "loaded_model.h"
#include "requests.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

constexpr size_t kReserve = size_t(256) << 20;  // what a placement leaves free

Engine load(std::optional<int> gpu, size_t gpu_memory_bytes = 0, int context = 0,
            const std::filesystem::path& model = fixtures() / "tiny") {
  name_gpu_library();
  LoadOptions options;
  options.backend = "reference";
  options.threads = 1;
  options.gpu = gpu;
  options.gpu_memory_bytes = gpu_memory_bytes;
  options.model.context_tokens = context;
  return Engine(model, options, [](float) {});
}

int layers_on_gpu(const Engine& engine) {
  const Placement& placement = engine.model().placement();
  if (placement.device == nullptr) return 0;
  return engine.model().config().num_hidden_layers - placement.first_on_device;
}

// The emulated GPU as it is at first, also when a test has thrown.
struct GpuGuard {
  ~GpuGuard() {
    limit_gpu_memory(size_t(1) << 30);
    lose_gpu_after(-1);
    fail_gpu_allocation_after(-1);
    add_busy_gpu(false);
  }
};

}  // namespace

TEST_CASE("the GPUs are reported") {
  name_gpu_library();
  const GpuReport report = probe_gpus();
  CAPTURE(report.problem);
  REQUIRE(report.gpus.size() >= 1);
  CHECK(report.problem == "");
  CHECK(report.gpus[0].problem == "");
  CHECK(report.gpus[0].name != "");
  CHECK(report.gpus[0].free_bytes <= report.gpus[0].total_bytes);
  CHECK_THROWS_AS(open_gpu(1000), std::runtime_error);
}

TEST_CASE("a GPU that another program has for itself hides no other one") {
  const GpuGuard guard;
  add_busy_gpu(true);
  if (!gpu_is_emulated()) return;
  const GpuReport report = probe_gpus();
  CHECK(report.problem == "");
  REQUIRE(report.gpus.size() == 2);
  CAPTURE(report.gpus[0].problem);
  CHECK(report.gpus[0].problem.find("The device is busy. If another program") != std::string::npos);
  CHECK(report.gpus[0].name == report.gpus[1].name);
  CHECK(report.gpus[0].total_bytes > 0);
  CHECK(report.gpus[0].free_bytes == 0);
  CHECK(report.gpus[1].index == 1);
  CHECK(report.gpus[1].problem == "");
  CHECK(report.gpus[1].free_bytes > 0);
  CHECK(layers_on_gpu(load(1)) > 0);
  CHECK_THROWS_AS(open_gpu(0), std::runtime_error);
}

// Of the largest difference of a log probability, as a part of it. In quantized weights a sum's
// last bit may round an activation to its neighbour, which random weights amplify: 1.8 % where the
// emulated tensor cores cut sums off. In floats there is nothing to be rounded so.
TEST_CASE("text is the same on the CPU and on the GPU, afresh, reused and recorded") {
  const TemporaryFolder folder;
  std::filesystem::copy(fixtures() / "tiny" / "tokenizer.json", folder.path() / "tokenizer.json");
  write_tiny_model(folder.path(), tiny_config(), "f32");
  for (const auto& [path, bound] :
       {std::pair(fixtures() / "tiny", 5e-2), std::pair(folder.path(), 1e-4)}) {
    CAPTURE(bound);
    Engine cpu = load({}, 0, 0, path), gpu = load(0, 0, 0, path);
    CHECK(layers_on_gpu(cpu) == 0);
    CHECK(layers_on_gpu(gpu) == gpu.model().config().num_hidden_layers);
    CHECK(gpu.model().steps_alone());
    double worst = 0;
    for (const std::string& text : {kText, std::string("for (int i"), kText + "x = "}) {
      CAPTURE(text);
      const auto expected = cpu.generate(request(cpu, text, 24), kGoOn, kIgnore);
      const auto found = gpu.generate(request(gpu, text, 24), kGoOn, kIgnore);
      CHECK(found.text == expected.text);
      CHECK(found.stop == expected.stop);
      CHECK(found.tokens == expected.tokens);
      for (size_t i = 0; i < found.tokens.size(); i++) {
        const double probability = expected.log_probabilities.at(i);
        worst = std::max(worst, std::abs(found.log_probabilities.at(i) / probability - 1));
      }
      CHECK(gpu.generate(request(gpu, text, 24), kGoOn, kIgnore).text == expected.text);
    }
    MESSAGE("largest difference: " << worst);
    CHECK(worst < bound);
  }
}

TEST_CASE("a GPU draws the tokens that the CPU draws") {
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(), "f32");  // so that no rounding is amplified
  const TestedBackends on_cpu("reference"), on_gpu("cuda");
  LoadedModel cpu(folder.path(), on_cpu.both()), gpu(folder.path(), on_gpu.both());
  const std::vector<Token> prompt = {100, 101, 102, 103, 104, 105, 106, 107};
  const auto draw = [&](LoadedModel& loaded, const Sampling& sampling) {
    Sequence sequence = loaded.sequence();
    loaded.model.read(sequence, prompt);
    Decoder decoder(loaded.model, sequence, sampling, loaded.model.config().vocab_size,
                    prompt.size() - 1);
    std::vector<Token> tokens;
    for (int i = 0; i < 12; i++) tokens.push_back(decoder.next(true).token);
    return tokens;
  };
  for (const float top_p : {1.0f, 0.9f, 0.3f}) {
    for (uint64_t seed = 0; seed < 3; seed++) {
      CAPTURE(top_p);
      CAPTURE(seed);
      CHECK(draw(gpu, {1.2f, top_p, seed}) == draw(cpu, {1.2f, top_p, seed}));
    }
  }
}

TEST_CASE("a sequence stands where its tokens say, however a generation on the GPU ended") {
  Engine cpu = load({}, 0, 100), gpu = load(0, 0, 100);
  const auto same = [&](const std::string& text) {
    const auto found = gpu.generate(request(gpu, text, 6), kGoOn, kIgnore);
    CHECK(found.text == cpu.generate(request(cpu, text, 6), kGoOn, kIgnore).text);
    return found;
  };
  same(kText);
  std::atomic<bool> stop = false;  // cancelled while a step runs ahead
  GenerateRequest sampled = request(gpu, kText, 30);
  sampled.sampling.temperature = 1.0f;
  const auto cancelled = gpu.generate(sampled, stop, [&](std::string_view) { stop = true; });
  CHECK(cancelled.stop == StopReason::cancelled);
  CHECK(same(kText).reused_tokens > 0);
  same(kText + cancelled.text);

  GenerateRequest endless = request(gpu, kText, 200);  // until the context is full
  endless.ends = {-2};
  const auto full = gpu.generate(endless, kGoOn, kIgnore);
  CHECK(full.stop == StopReason::context_full);
  CHECK(full.tokens.size() + endless.tokens.size() == 101);
  CHECK(cpu.generate(endless, kGoOn, kIgnore).text == full.text);
  same(kText);
}

TEST_CASE("layers that do not fit the GPU run on the CPU, and the placement says so") {
  if (!gpu_is_emulated()) return;
  const GpuGuard guard;
  Engine whole = load(0), cpu = load({});
  const int layers = whole.model().config().num_hidden_layers;
  const size_t all = whole.model().placement().device_bytes;
  const auto expected = cpu.generate(request(cpu, kText, 16), kGoOn, kIgnore);
  int before = layers;
  bool mixed = false;
  for (const double share : {0.95, 0.8, 0.6, 0.4, 0.2, 0.01}) {
    CAPTURE(share);
    Engine some = load(0, size_t(share * double(all)));
    const int there = layers_on_gpu(some);
    CHECK(there <= before);
    CHECK(some.model().placement().device_bytes <= size_t(share * double(all)));
    CHECK(some.generate(request(some, kText, 16), kGoOn, kIgnore).text == expected.text);
    const std::string says = some.model().placement().explanation;
    CHECK(says.find(std::to_string(there) + " of " + std::to_string(layers)) == 0);
    mixed = mixed || (there > 0 && there < layers);
    before = there;
  }
  CHECK(mixed);
  CHECK(before == 0);
}

TEST_CASE("a placement says what it takes") {
  if (!gpu_is_emulated()) return;
  const TestedBackends backends("cuda");
  const size_t before = backends.device->free_bytes();
  const TemporaryFolder folder;
  write_tiny_model(folder.path(), tiny_config(R"("ring_window": 0, "hidden_size": 256)"), "mixed");
  const LoadedModel loaded(folder.path(), backends.both(), {.context_tokens = 1024});
  const Sequence sequence = loaded.sequence();
  const size_t taken = before - backends.device->free_bytes();
  const size_t said = loaded.model.placement().device_bytes;
  CAPTURE(said);
  CAPTURE(taken);
  CHECK(taken >= said / 20 * 19);
  CHECK(taken <= said + (size_t(36) << 20));  // pieces of weights and of scratch that are not full
}

TEST_CASE("what others have taken of the GPU's memory is left to them") {
  if (!gpu_is_emulated()) return;
  const GpuGuard guard;
  const size_t all = load(0).model().placement().device_bytes;
  limit_gpu_memory(kReserve + all / 2);  // all that is free
  Engine some = load(0);
  CHECK(layers_on_gpu(some) < some.model().config().num_hidden_layers);
  limit_gpu_memory(1 << 20);
  CHECK(layers_on_gpu(load(0)) == 0);
}

TEST_CASE("memory that is gone when it is asked for makes fewer layers, never an error") {
  if (!gpu_is_emulated()) return;
  const GpuGuard guard;
  Engine cpu = load({});
  const auto expected = cpu.generate(request(cpu, kText, 8), kGoOn, kIgnore).text;
  for (const int allocations : {5, 8, 12, 20, 40}) {
    CAPTURE(allocations);
    fail_gpu_allocation_after(allocations);
    Engine some = load(0);
    CHECK(some.generate(request(some, kText, 8), kGoOn, kIgnore).text == expected);
  }
}

TEST_CASE("a GPU that is lost ends in DEVICE_LOST") {
  if (!gpu_is_emulated()) return;
  const GpuGuard guard;
  Engine gpu = load(0);
  for (const int waits : {0, 1, 3}) {
    lose_gpu_after(waits);
    try {
      gpu.generate(request(gpu, kText + std::to_string(waits), 24), kGoOn, kIgnore);
      FAIL("it did not notice");
    } catch (const EngineError& error) {
      CHECK(error.code() == ErrorCode::device_lost);
      CHECK(std::string(error.what()).find("ringside.device") != std::string::npos);
    }
  }
}

TEST_CASE("what a failed pass has left of a sequence is not read on") {
  if (!gpu_is_emulated()) return;
  const GpuGuard guard;
  Engine cpu = load({}), gpu = load(0);
  for (const int waits : {0, 1, 3}) {
    CAPTURE(waits);
    lose_gpu_after(waits);  // a step is done that nobody hears of
    CHECK_THROWS_AS(gpu.generate(request(gpu, kText, 24), kGoOn, kIgnore), EngineError);
    gpu.reset();  // asks nothing of it
    lose_gpu_after(waits);
    CHECK_THROWS_AS(gpu.generate(request(gpu, kText, 24), kGoOn, kIgnore), EngineError);
    lose_gpu_after(-1);
    const auto found = gpu.generate(request(gpu, kText + "x = ", 16), kGoOn, kIgnore);
    CHECK(found.reused_tokens == 0);
    CHECK(found.tokens == cpu.generate(request(cpu, kText + "x = ", 16), kGoOn, kIgnore).tokens);
  }
}

TEST_CASE("a GPU that is not there is DEVICE_LOST, and a library that is not there says where") {
  name_gpu_library();
  try {
    load(7);
    FAIL("there is no such GPU");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::device_lost);
  }
  const std::string before = std::getenv("RINGSIDE_GPU_LIBRARY");
  setenv("RINGSIDE_GPU_LIBRARY", "/nowhere/ringside_cuda.so", 1);
  const GpuReport report = probe_gpus();
  setenv("RINGSIDE_GPU_LIBRARY", before.c_str(), 1);
  CHECK(report.gpus.empty());
  CHECK(report.problem.find("/nowhere/ringside_cuda.so") != std::string::npos);
}
