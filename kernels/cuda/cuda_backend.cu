#include <algorithm>
#include <utility>

#include "cuda_backend.h"
#include "format.h"

namespace ringside::cuda {

namespace {

// Of weights: so that a model of thousands of experts is not thousands of allocations.
constexpr size_t kWeightChunk = size_t(32) << 20;
constexpr size_t kScratchChunk = size_t(4) << 20;
constexpr size_t kOwnChunk = size_t(16) << 10;
constexpr size_t kStaging = size_t(16) << 20;  // through which weights reach the device

}  // namespace

void* Arena::take(size_t bytes) {
  const auto whole = size_t(padded(int64_t(bytes)));
  if (whole > left_ && whole > chunk_ / 8) return allocate(whole);  // an eighth is lost at most
  if (whole > left_) {
    left_ = 0;
    next_ = allocate(chunk_);
    left_ = chunk_;
  }
  left_ -= whole;
  return std::exchange(next_, next_ + whole);
}

char* Arena::allocate(size_t bytes) {
  chunks_.push_back(nullptr);  // first, so that no memory is lost if there is none for this
  chunks_.back() = device_.allocate(bytes);
  return static_cast<char*>(chunks_.back());
}

void Arena::clear() noexcept {
  for (void* chunk : chunks_) {
    if (chunk != nullptr) device_.release(chunk);
  }
  chunks_.clear();
  left_ = 0;
}

Cuda::Cuda(int device)
    : device_(device),
      own_(device_, kOwnChunk),
      weights_(device_, kWeightChunk),
      scratch_(device_, kScratchChunk),
      staging_(device_, 1) {
  base_ = static_cast<int*>(own_.take(sizeof(int)));
  draw_state_ = static_cast<DrawState*>(own_.take(sizeof(DrawState)));
  draw_parts_ = static_cast<DrawPart*>(own_.take(kMaxDrawParts * sizeof(DrawPart)));
  copied_ = static_cast<Candidate*>(own_.take(kMostMixed * sizeof(Candidate)));
  choices_ = static_cast<Choice*>(device_.allocate_shared(2 * sizeof(Choice)));
  begin(0);
}

Cuda::~Cuda() {
  repeated_.clear();
  device_.release_shared(choices_);
}

// ---- memory ----

void Cuda::upload(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  device_.upload(to, from, bytes);
  wrote(static_cast<float*>(to), int64_t(bytes / sizeof(float)));
}

void Cuda::download(void* to, const void* from, size_t bytes) {
  if (bytes > 0) device_.download(to, from, bytes);
}

void Cuda::copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  device_.copy(to, from, bytes);
  wrote(static_cast<float*>(to), int64_t(bytes / sizeof(float)));
}

void Cuda::clear(void* memory, size_t bytes) {
  if (bytes == 0) return;
  device_.clear(memory, bytes);
  wrote(static_cast<float*>(memory), int64_t(bytes / sizeof(float)));
}

// ---- weights ----

size_t Cuda::placed_bytes(const Matrix& w) const {
  return w.data == nullptr ? 0 : cuda::placed_bytes(w);
}

Matrix Cuda::place(const Matrix& w) {
  used_forms_ |= forms_of(w.type);
  const size_t bytes = cuda::placed_bytes(w);
  void* memory = weights_.take(bytes);
  // As much as the largest matrix so far needs, up to a limit; reserve() gives it back.
  if (const size_t wanted = std::min(kStaging, bytes); wanted > staging_bytes_) {
    staging_.clear();
    staging_bytes_ = 0;
    staging_memory_ = staging_.take(wanted);
    staging_bytes_ = wanted;
  }
  return cuda::place(device_, w, memory, staging_memory_, staging_bytes_);
}

void Cuda::release_staging() {
  staging_.clear();
  staging_bytes_ = 0;
}

const float* Cuda::place(const float* values, size_t count) {
  void* memory = weights_.take(count * sizeof(float));
  device_.upload(memory, values, count * sizeof(float));
  return static_cast<const float*>(memory);
}

ExpertSet Cuda::place(std::span<const FeedForward> experts) {
  if (experts.empty()) return {experts, nullptr};
  ExpertTable& table = tables_.emplace_back();
  void* memory = weights_.take(experts.size_bytes());
  device_.upload(memory, experts.data(), experts.size_bytes());
  table.experts = static_cast<const FeedForward*>(memory);
  table.count = int(experts.size());
  table.dim = experts[0].down.rows;
  table.hidden = experts[0].gate.rows;
  for (const FeedForward& expert : experts) {
    table.types |= 1u << unsigned(expert.gate.type) | 1u << unsigned(expert.up.type);
    table.down_types |= 1u << unsigned(expert.down.type);
  }
  return {experts, &table};
}

void Cuda::forget_placed() {
  device_.synchronize();
  repeated_.clear();
  tables_.clear();
  weights_.clear();
  release_staging();
}

// ---- passes ----

void Cuda::reserve(const Limits& limits) {
  const auto grow = [](int& has, int wants) { has = std::max(has, wants); };
  Limits& l = limits_;
  grow(l.max_batch, limits.max_batch);
  grow(l.max_cols, std::max(limits.max_cols, limits.max_hidden));
  grow(l.max_experts, limits.max_experts);
  grow(l.max_top_k, limits.max_top_k);
  grow(l.max_hidden, limits.max_hidden);
  grow(l.max_context, limits.max_context);
  grow(l.max_heads, limits.max_heads);
  grow(l.max_head_dim, limits.max_head_dim);
  device_.synchronize();
  repeated_.clear();  // recorded passes lead into the scratch memory
  forget_rounded();
  release_staging();
  scratch_.clear();
  const ScratchBytes bytes = scratch_bytes(l);
  for (Rounded& rounded : rounded_) {
    rounded.forms.q = static_cast<int8_t*>(scratch_.take(bytes.q));
    rounded.forms.groups = static_cast<float2*>(scratch_.take(bytes.groups));
    rounded.forms.bf16 = static_cast<uint16_t*>(scratch_.take(bytes.bf16));
  }
  attention_scratch_ = scratch_.take(bytes.attention);
  device_.clear(attention_scratch_, bytes.attention);
  lightning_scratch_ = scratch_.take(bytes.lightning);
  expert_scratch_ = scratch_.take(bytes.experts);
  router_logits_ = static_cast<float*>(scratch_.take(bytes.router));
}

Cuda::ScratchBytes Cuda::scratch_bytes(const Limits& l) const {
  const size_t batch = size_t(l.max_batch), values = batch * size_t(l.max_cols);
  const ExpertTable widest{nullptr, l.max_experts, l.max_cols, l.max_hidden};
  return {values,
          values / kGroup * sizeof(float2),
          values * sizeof(uint16_t),
          attention_scratch_bytes(l.max_head_dim, device_.queue().processors()),
          lightning_scratch_bytes(l.max_heads, l.max_head_dim, l.max_batch),
          l.max_experts > 0 ? expert_scratch_bytes(widest, l.max_batch, l.max_top_k) : 0,
          batch * size_t(l.max_experts) * sizeof(float)};
}

size_t Cuda::reserved_bytes(const Limits& limits) const {
  const ScratchBytes bytes = scratch_bytes(limits);
  return 2 * (bytes.q + bytes.groups + bytes.bf16) + bytes.attention + bytes.lightning +
         bytes.experts + bytes.router;
}

void Cuda::begin(int position) {
  begun_ = position;
  move_to(device_.queue(), base_, position);
}

void Cuda::pass(int n) {
  begun_ += n;
  move(device_.queue(), base_, n);
}

// The first time it is just done, because a kernel's first launch may load it, which can't be
// recorded; the second time it is recorded.
void Cuda::repeat(uint64_t key, const std::function<void()>& record) {
  forget_rounded();
  const auto found = repeated_.find(key);
  if (found == repeated_.end()) {
    record();
    repeated_[key];
    return forget_rounded();
  }
  Repeated& repeated = found->second;
  if (!repeated.graph) {
    const int begun = begun_, drawn = drawn_;
    device_.begin_recording();
    try {
      record();
    } catch (...) {
      try {
        device_.end_recording();
      } catch (const DeviceError&) {  // says only that the recording has failed before
      }
      throw;
    }
    repeated.graph = device_.end_recording();
    repeated.moved = begun_ - begun;
    repeated.drawn = drawn_ - drawn;
  } else {
    begun_ += repeated.moved;
    drawn_ += repeated.drawn;
  }
  device_.replay(repeated.graph);
  if (repeated.drawn > 0) device_.mark((drawn_ - 1) % Device::kMarks);
  forget_rounded();
}

// A recorded pass is repeated at any later position.
Position Cuda::at(int position) const {
  const int bound = position + limits_.max_batch;
  return {base_, position - begun_,
          device_.is_recording() ? std::max(limits_.max_context, bound) : bound};
}

// ---- drawing ----

void Cuda::begin_sampling(const Sampling& sampling) {
  begin_drawing(device_.queue(), draw_state_,
                {sampling.temperature, sampling.top_p, sampling.seed, 0});
  drawn_ = 0;
}

void Cuda::mix(float* logits, int count, std::span<const Candidate> copied, float share) {
  if (copied.empty()) return;
  device_.upload(copied_, copied.data(), copied.size_bytes());
  cuda::mix(device_.queue(), logits, count, draw_parts_, copied_, int(copied.size()), share);
}

void Cuda::sample(Token* next, const float* logits, int count) {
  cuda::draw(device_.queue(), draw_state_, choices_, next, draw_parts_, logits, count);
  if (!device_.is_recording()) device_.mark(drawn_ % Device::kMarks);
  drawn_++;
}

Choice Cuda::choice(int number) {
  device_.wait(number % Device::kMarks);
  return choices_[number % 2];
}

}  // namespace ringside::cuda
