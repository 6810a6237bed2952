#include <algorithm>
#include <cstring>

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
  const size_t whole = size_t(padded(int64_t(bytes)));
  if (whole > left_) {
    const size_t chunk = std::max(whole, chunk_);
    chunks_.push_back(nullptr);  // first, so that no memory is lost if there is none for this
    chunks_.back() = device_.allocate(chunk);
    next_ = static_cast<char*>(chunks_.back());
    left_ = chunk;
  }
  void* taken = next_;
  next_ += whole;
  left_ -= whole;
  return taken;
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
  forget_rounded();
  release_staging();
  scratch_.clear();
  const size_t values = size_t(l.max_batch) * size_t(l.max_cols);
  for (Rounded& rounded : rounded_) {
    rounded.forms.q = static_cast<int8_t*>(scratch_.take(values));
    rounded.forms.groups = static_cast<float2*>(scratch_.take(values / kGroup * sizeof(float2)));
    rounded.forms.bf16 = static_cast<uint16_t*>(scratch_.take(values * sizeof(uint16_t)));
  }
  const size_t attention_bytes =
      attention_scratch_bytes(l.max_head_dim, device_.queue().processors());
  attention_scratch_ = scratch_.take(attention_bytes);
  device_.clear(attention_scratch_, attention_bytes);
  lightning_scratch_ =
      scratch_.take(lightning_scratch_bytes(l.max_heads, l.max_head_dim, l.max_batch));
  size_t expert_bytes = 0;
  for (const ExpertTable& table : tables_) {
    expert_bytes = std::max(expert_bytes, expert_scratch_bytes(table, l.max_batch, l.max_top_k));
  }
  expert_scratch_ = scratch_.take(expert_bytes);
  router_logits_ = static_cast<float*>(
      scratch_.take(size_t(l.max_batch) * size_t(l.max_experts) * sizeof(float)));
}

void Cuda::begin(int position) {
  begun_ = position;
  device_.upload(base_, &position, sizeof position);
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
      device_.end_recording();
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

Position Cuda::at(int position) const {
  return {base_, position - begun_, std::max(limits_.max_context, position + limits_.max_batch)};
}

// ---- activations in their forms ----

void Cuda::forget_rounded() {
  for (Rounded& rounded : rounded_) rounded.forms.f32 = nullptr;
}

// `size` floats at y have changed: their forms are no longer theirs.
void Cuda::wrote(const float* y, int64_t size) {
  for (Rounded& rounded : rounded_) {
    const float* x = rounded.forms.f32;
    if (x == nullptr) continue;
    if (y < x + int64_t(rounded.n) * rounded.forms.cols && x < y + size)
      rounded.forms.f32 = nullptr;
  }
}

// Where forms of y [n, cols] are to go: over those that were made longer ago.
Rounded& Cuda::target(const float* y, int n, int cols) {
  wrote(y, int64_t(n) * cols);
  last_rounded_ = 1 - last_rounded_;
  Rounded& rounded = rounded_[last_rounded_];
  rounded.forms.f32 = y;
  rounded.forms.cols = cols;
  rounded.n = n;
  rounded.filled = cols % kGroup == 0 ? used_forms_ : used_forms_ & kBf16;
  return rounded;
}

unsigned Cuda::forms_for(std::span<const Matrix> parts) const {
  unsigned forms = 0;
  for (const Matrix& part : parts) forms |= forms_of(part.type);
  return forms;
}

// x with at least the forms asked for.
Activations Cuda::input(const float* x, int n, int cols, unsigned forms) {
  Activations plain;
  plain.f32 = x;
  plain.cols = cols;
  if (forms == 0) return plain;
  for (Rounded& rounded : rounded_) {
    if (rounded.forms.f32 != x || rounded.forms.cols != cols || rounded.n < n) continue;
    const unsigned missing = forms & ~rounded.filled;
    if (missing != 0) prepare(device_.queue(), rounded.forms, rounded.n, missing);
    rounded.filled |= missing;
    return rounded.forms;
  }
  Rounded& rounded = target(x, n, cols);
  rounded.filled = forms;
  prepare(device_.queue(), rounded.forms, n, forms);
  return rounded.forms;
}

// ---- operations ----

void Cuda::matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) {
  matmul(y, std::span(&w, 1), x, n, y_stride == 0 ? w.rows : y_stride);
}

void Cuda::matmul(float* y, std::span<const Matrix> parts, const float* x, int n, int y_stride) {
  if (n == 0) return;
  multiply(device_.queue(), y, parts, input(x, n, parts[0].cols, forms_for(parts)), n, y_stride);
  wrote(y, int64_t(n) * y_stride);
}

void Cuda::embed(float* y, const Matrix& w, const Token* tokens, int n) {
  cuda::embed(device_.queue(), y, w, tokens, n);
  wrote(y, int64_t(n) * w.cols);
}

void Cuda::rmsnorm(float* y, const float* x, const float* weight, int n, int dim, float eps) {
  if (n == 0) return;
  const Rounded& rounded = target(y, n, dim);
  cuda::rmsnorm(device_.queue(), y, const_cast<float*>(x), nullptr, weight, rounded.forms,
                rounded.filled, n, dim, eps);  // without a delta x stays as it is
}

void Cuda::add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n, int dim,
                       float eps) {
  if (n == 0) return;
  wrote(x, int64_t(n) * dim);
  const Rounded& rounded = target(y, n, dim);
  cuda::rmsnorm(device_.queue(), y, x, delta, weight, rounded.forms, rounded.filled, n, dim, eps);
}

void Cuda::layernorm(float* y, const float* x, const float* weight, const float* bias, int n,
                     int dim, float eps) {
  if (n == 0) return;
  const Rounded& rounded = target(y, n, dim);
  cuda::layernorm(device_.queue(), y, x, weight, bias, rounded.forms, rounded.filled, n, dim, eps);
}

void Cuda::add(float* x, const float* y, int64_t size) {
  elementwise(device_.queue(), Elementwise::add, x, y, size);
  wrote(x, size);
}

void Cuda::scale(float* x, const float* y, int64_t size) {
  elementwise(device_.queue(), Elementwise::scale, x, y, size);
  wrote(x, size);
}

void Cuda::swiglu(float* gate, const float* up, int64_t size) {
  elementwise(device_.queue(), Elementwise::swiglu, gate, up, size);
  wrote(gate, size);
}

void Cuda::silu(float* x, int64_t size) {
  elementwise(device_.queue(), Elementwise::silu, x, nullptr, size);
  wrote(x, size);
}

void Cuda::gelu(float* x, int64_t size) {
  elementwise(device_.queue(), Elementwise::gelu, x, nullptr, size);
  wrote(x, size);
}

void Cuda::feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                        float*) {
  if (n == 0) return;
  const Matrix parts[] = {ffn.gate, ffn.up};
  const Activations in = input(x, n, ffn.gate.cols, forms_for(parts));
  Rounded& hidden = target(gate, n, ffn.gate.rows);
  hidden.filled = forms_of(ffn.down.type);
  gate_up(device_.queue(), gate, hidden.forms, hidden.filled, ffn.gate, ffn.up, in, n);
  matmul(y, ffn.down, gate, n, 0);
}

void Cuda::norm_rope(float* x, const float* weight, int n, int stride, int n_heads, int head_dim,
                     const Rope& rope, float eps, int position) {
  cuda::norm_rope(device_.queue(), x, weight, n, stride, n_heads, head_dim, rope, eps,
                  at(position));
  wrote(x, int64_t(n) * stride);
}

void Cuda::store(const KvCache& cache, const float* k, const float* v, int n, int stride,
                 int position) {
  cuda::store(device_.queue(), cache, k, v, n, stride, at(position));
}

void Cuda::norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm,
                           const float* k_norm, int n, int stride, int n_heads, const Rope& rope,
                           float eps, int position) {
  cuda::norm_rope_store(device_.queue(), cache, qkv, q_norm, k_norm, n, stride, n_heads, rope, eps,
                        at(position));
  wrote(qkv, int64_t(n) * stride);
}

void Cuda::attention(float* out, const float* q, const KvCache& cache, int n, int stride,
                     int n_heads, int position) {
  cuda::attention(device_.queue(), out, q, cache, n, stride, n_heads, at(position),
                  attention_scratch_);
  wrote(out, int64_t(n) * n_heads * cache.head_dim);
}

void Cuda::lightning(float* out, const float* q, const float* k, const float* v,
                     const LinearState& state, int n, int stride) {
  cuda::lightning(device_.queue(), out, q, k, v, state, n, stride, lightning_scratch_);
  wrote(out, int64_t(n) * state.n_heads * state.head_dim);
}

void Cuda::advance(const float* k, const float* v, const LinearState& state, int n, int stride) {
  cuda::advance(device_.queue(), k, v, state, n, stride);
}

void Cuda::save(const Snapshots& to, const LinearState& state, int position) {
  save_state(device_.queue(), to, state.s, at(position));
}

void Cuda::save(const Snapshots& to, const KvCache& cache, int rows, int position) {
  save_rows(device_.queue(), to, cache, rows, at(position));
}

void Cuda::load(const Snapshots& from, const KvCache& cache, int rows, int first, int position) {
  load_rows(device_.queue(), from, cache, rows, first, position);
}

void Cuda::gated_group_norm(float* y, const float* x, const float* gate, const float* weight, int n,
                            int dim, int groups, float eps) {
  if (n == 0) return;
  Rounded& rounded = target(y, n, dim);
  if (dim / groups % kGroup != 0) rounded.filled = 0;
  cuda::gated_group_norm(device_.queue(), y, x, gate, weight, rounded.forms, rounded.filled, n, dim,
                         groups, eps);
}

void Cuda::route(int* experts, float* weights, const Router& router, const float* h, int n,
                 const int* features, int n_active, int first_featured) {
  if (n == 0) return;
  Matrix w;
  w.rows = router.n_experts;
  w.cols = router.dim;
  w.data = router.w;
  matmul(router_logits_, w, h, n, 0);
  choose(device_.queue(), experts, weights, router, router_logits_, n, features, n_active,
         first_featured);
}

void Cuda::experts(float* y, const ExpertSet& all, const int* experts, const float* weights,
                   int top_k, const float* x, int n) {
  if (n == 0) return;
  const auto& table = *static_cast<const ExpertTable*>(all.table);
  unsigned forms = 0;
  for (unsigned type = 0; type <= unsigned(Type::q6_k); type++) {
    if ((table.types >> type & 1) != 0) forms |= forms_of(Type(type));
  }
  run_experts(device_.queue(), y, table, experts, weights, top_k, input(x, n, table.dim, forms), n,
              expert_scratch_);
  wrote(y, int64_t(n) * table.dim);
}

// ---- drawing ----

void Cuda::begin_sampling(const Sampling& sampling) {
  const DrawState state{sampling.temperature, sampling.top_p, sampling.seed, 0};
  device_.upload(draw_state_, &state, sizeof state);
  drawn_ = 0;
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
