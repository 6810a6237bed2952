// What a GPU must do again and again: many tokens, many cancels, many edits, and full memory. An
// emulated GPU does fewer of each.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "decoder.h"
#include "device_error.h"
#include "gpu.h"
#include "loaded_model.h"
#include "texts.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// Of the largest logit. Plain weights, which round no activations: what is left are sums in other
// orders, products of floats in two TF32 parts, and states rebuilt from a log.
constexpr double kTolerance = 1e-4;

constexpr const char* kKinds[] = {"",                          // rings and lightning
                                  R"("ring_window": 0)",       // full attention and lightning
                                  R"("layer_group_size": 1)",  // rings alone
                                  R"("ring_slots": 20)"};

int times(int on_a_gpu, int emulated) { return gpu_is_emulated() ? emulated : on_a_gpu; }

// The same model on the CPU and on the GPU.
struct Both {
  explicit Both(const std::string& changes, size_t device_bytes = 0)
      : host(available_backends().front()), there("cuda") {
    write_tiny_model(folder.path(), tiny_config(changes), "f32");
    const Backends on_gpu(*there.host, there.device.get(), device_bytes);
    cpu = std::make_unique<LoadedModel>(folder.path(), host.both(), with_f32_cache());
    gpu = std::make_unique<LoadedModel>(folder.path(), on_gpu, with_f32_cache());
  }

  TemporaryFolder folder;
  TestedBackends host, there;
  std::unique_ptr<LoadedModel> cpu, gpu;
};

std::vector<Token> random_tokens(std::mt19937& random, size_t n) {
  std::vector<Token> tokens(n);
  for (Token& token : tokens) token = Token(random() % 320);
  return tokens;
}

// The best tokens behind what the sequence has read, `count` of them. Where `leaves`, the last step
// is still under way when this returns.
std::vector<Token> write(Model& model, Sequence& sequence, size_t last_index, int count,
                         bool leaves = false) {
  Decoder decoder(model, sequence, {}, model.config().vocab_size, last_index);
  std::vector<Token> text;
  for (int i = 0; i < count; i++) {
    const Choice choice = decoder.next(leaves || i + 1 < count);
    CHECK(choice.finite);
    text.push_back(choice.token);
  }
  return text;
}

// Every token of `text` must be the one that the CPU finds best, or as good as that.
void check_best(LoadedModel& cpu, const std::vector<Token>& prompt,
                const std::vector<Token>& text) {
  std::vector<Token> tokens = prompt;
  tokens.insert(tokens.end(), text.begin(), text.end());
  Sequence sequence = cpu.sequence();
  while (sequence.size() + 1 < tokens.size()) {
    const size_t start = sequence.size();
    const size_t n = std::min(cpu.model.max_batch(), tokens.size() - 1 - start);
    cpu.model.read(sequence, std::span(tokens).subspan(start, n));
    for (size_t i = start; i < start + n; i++) {
      if (i + 1 < prompt.size()) continue;
      const auto logits = cpu.model.logits(i - start);
      double best = -1e30, largest = 0;
      for (const float logit : logits) {
        best = std::max(best, double(logit));
        largest = std::max(largest, std::abs(double(logit)));
      }
      CAPTURE(i);
      CHECK(double(logits[size_t(tokens[i + 1])]) >= best - kTolerance * largest);
    }
  }
}

double difference(std::span<const float> found, std::span<const float> expected) {
  double most = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    most = std::max(most, std::abs(double(found[i]) - double(expected[i])));
    largest = std::max(largest, std::abs(double(expected[i])));
  }
  return std::isfinite(most) ? most / largest : 1e30;
}

}  // namespace

TEST_CASE("64 greedy tokens of a GPU are each the CPU's best") {
  for (const char* changes : std::span(kKinds).first(size_t(times(4, 1)))) {
    CAPTURE(changes);
    Both both(changes);
    REQUIRE(both.gpu->model.steps_alone());
    std::mt19937 random(1);
    for (int prompt = 0; prompt < times(5, 1); prompt++) {
      const auto tokens = random_tokens(random, 20 + 90 * size_t(prompt));
      Sequence sequence = both.gpu->sequence();
      const size_t last = read(both.gpu->model, sequence, tokens);
      const auto text = write(both.gpu->model, sequence, last, 64);
      CHECK(sequence.size() == tokens.size() + 63);
      check_best(*both.cpu, tokens, text);
    }
  }
}

TEST_CASE("a GPU that is cancelled after any number of tokens goes on from there") {
  for (const char* changes : {kKinds[0], kKinds[1]}) {
    CAPTURE(changes);
    Both both(changes);
    std::mt19937 random(2);
    const auto tokens = random_tokens(random, 70);
    Sequence sequence = both.gpu->sequence();
    read(both.gpu->model, sequence, tokens);
    for (int after = 1; after <= times(60, 2); after++) {
      CAPTURE(after);
      sequence.truncate(tokens.size() - 1);
      const size_t last = read(both.gpu->model, sequence, tokens);
      const auto text = write(both.gpu->model, sequence, last, after, true);
      CHECK(sequence.size() == tokens.size() + size_t(after));
      std::vector<Token> typed = tokens;  // what was proposed and taken in part, and another key
      typed.insert(typed.end(), text.begin(), text.begin() + after / 2);
      typed.push_back(Token(after % 320));
      const size_t kept = sequence.truncate(sequence.common_prefix(typed, {}));
      CHECK(kept <= typed.size());
      sequence.truncate(std::min(kept, typed.size() - 1));
      const size_t index = read(both.gpu->model, sequence, typed);
      check_best(*both.cpu, typed, write(both.gpu->model, sequence, index, 3));
    }
  }
}

TEST_CASE("after a thousand edits a GPU has read what the text says") {
  double worst = 0;
  for (const char* changes : kKinds) {
    CAPTURE(changes);
    Both both(changes);
    std::mt19937 random(3);
    auto tokens = random_tokens(random, size_t(times(300, 60)));
    Sequence reused = both.gpu->sequence(), fresh = both.cpu->sequence();
    for (int edit = 0; edit < times(250, 2); edit++) {
      CAPTURE(edit);
      const size_t common = reused.common_prefix(tokens, {});
      reused.truncate(std::min(common, tokens.size() - 1));
      const size_t last = read(both.gpu->model, reused, tokens, 1 + random() % 64);
      fresh.truncate(0);
      const size_t index = read(both.cpu->model, fresh, tokens);
      const double error = difference(both.gpu->model.logits(last), both.cpu->model.logits(index));
      CHECK(error <= kTolerance);
      worst = std::max(worst, error);
      if (edit % 3 == 0) {  // recorded steps too, and what they read stays
        write(both.gpu->model, reused, last, 4, edit % 2 == 0);
        tokens.assign(reused.tokens().begin(), reused.tokens().end());
      }
      // Mostly near the end, as typing does; sometimes anywhere; the length wanders over wraps.
      const size_t back = random() % 4 == 0 ? random() % tokens.size() : random() % 30;
      tokens.resize(tokens.size() - std::min(back, tokens.size() - 1));
      const auto more = random_tokens(random, 1 + random() % 60);
      if (tokens.size() + more.size() <= 700) {
        tokens.insert(tokens.end(), more.begin(), more.end());
      }
    }
  }
  MESSAGE("worst difference " << worst);
}

TEST_CASE("a model that may take less of a GPU than it needs runs there in part") {
  Both whole("");
  const int layers = whole.gpu->model.config().num_hidden_layers;
  const size_t all = whole.gpu->model.placement().device_bytes;
  std::mt19937 random(4);
  const auto tokens = random_tokens(random, 50);
  int before = layers;
  for (const double share : {1.0, 0.9, 0.6, 0.3, 0.01}) {
    CAPTURE(share);
    Both some("", size_t(share * double(all)));
    const Placement& placement = some.gpu->model.placement();
    const int there = placement.device == nullptr ? 0 : layers - placement.first_on_device;
    CHECK(placement.device_bytes <= size_t(share * double(all)));
    CHECK(there <= before);
    CHECK((there == layers) == (share == 1.0));
    before = there;
    Sequence sequence = some.gpu->sequence();
    const size_t last = read(some.gpu->model, sequence, tokens);
    check_best(*some.cpu, tokens, write(some.gpu->model, sequence, last, 8));
  }
  CHECK(before == 0);
}

TEST_CASE("a GPU whose memory is full says so, and goes on") {
  struct Guard {
    ~Guard() { limit_gpu_memory(size_t(1) << 30); }
  } const guard;
  limit_gpu_memory(size_t(64) << 20);  // of an emulated one; a real one is filled
  const TestedBackends backends("cuda");
  Backend& device = *backends.device;
  const size_t free = device.free_bytes();
  CHECK_THROWS_AS(device.allocate(free + (size_t(1) << 30)), DeviceError);
  std::vector<void*> pieces;
  bool full = false;
  for (int i = 0; i < 20 && !full; i++) {
    try {
      pieces.push_back(device.allocate(free / 8));
    } catch (const DeviceError& error) {
      full = error.out_of_memory();
      CHECK(full);
    }
  }
  CHECK(full);
  CHECK(pieces.size() >= 5);
  for (void* piece : pieces) device.release(piece);
  CHECK(device.free_bytes() >= free / 10 * 9);

  const std::vector<float> values = {1, 2, 3};
  std::vector<float> back(3);
  void* memory = device.allocate(12);
  device.upload(memory, values.data(), 12);
  device.download(back.data(), memory, 12);
  device.release(memory);
  CHECK(back == values);
}
