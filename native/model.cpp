#include "model.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "error.h"

namespace ringside {

namespace {

Config with_options(Config config, const ModelOptions& options) {
  if (options.slope_layer_shift < 0 || options.slope_layer_shift > 1) {
    throw EngineError(ErrorCode::bad_request, "slopeLayerShift must be 0 or 1.");
  }
  config.slope_layer_shift = options.slope_layer_shift;
  config.kv_cache = options.kv_cache.value_or(config.ring_window == 0 ? Type::f16 : Type::f32);
  return config;
}

}  // namespace

Model::Model(const ModelFiles& files, const Backends& backends, const ModelOptions& options,
             const std::function<void(float)>& on_progress)
    : config_(with_options(files.config(), options)),
      weights_(std::make_unique<Weights>(files, on_progress)),
      placement_(backends.host) {
  const bool on_device = backends.device != nullptr;
  int context = config_.max_position_embeddings, batch = on_device ? kMaxDeviceBatch : kMaxBatch;
  if (options.context_tokens > 0) context = std::min(options.context_tokens, context);
  if (config_.ring_window > 0) batch = std::min(batch, config_.ring_slots - config_.ring_reach());
  placement_ = place_layers(config_, *weights_, backends, context, batch, Checkpoints::kEvery);
  if (placement_.device == nullptr) batch = std::min(batch, kMaxBatch);
  count_bytes(files);
  const int on_host = std::min(placement_.first_on_device, config_.num_hidden_layers);
  const Backend* host = placement_.embeds_on_device ? nullptr : &backends.host;
  const size_t there = options.machine_bytes > 0 ? options.machine_bytes : physical_memory();
  plan_ = plan_memory(config_, bytes_, options.memory_bytes, context, batch, host, on_host, there);
  if (plan_.expert_cache > 0) {
    const auto layers = std::span(weights_->layers).first(size_t(on_host));
    pager_ = std::make_unique<ExpertPager>(layers, files, plan_.expert_cache);
  }
  limit_experts(options);
  if (config_.norm_head) norm_head();
  place_weights();
}

// Of the host: those of layers on the device were read once, and are only mapped. What is mapped
// can be paged; what was converted, such as the scales of every expert, stays.
void Model::count_bytes(const ModelFiles& files) {
  const auto mapped = [&](const void* data, size_t bytes) { return files.maps(data) ? bytes : 0; };
  const auto bytes_of = [&](const Matrix& m) {
    return mapped(m.data, data_bytes(m)) + mapped(m.scales, scale_bytes(m));
  };
  const auto bytes_of_all = [&](const FeedForward& f) {
    return bytes_of(f.gate) + bytes_of(f.up) + bytes_of(f.down);
  };
  bytes_.fixed = weights_->owned_bytes();
  if (!placement_.embeds_on_device) bytes_.fixed += bytes_of(weights_->embedding);
  const bool tied = weights_->head.data == weights_->embedding.data;
  if (placement_.device == nullptr && !tied) bytes_.fixed += bytes_of(weights_->head);
  for (size_t l = 0; l < weights_->layers.size(); l++) {
    if (&placement_.of(int(l)) != placement_.host) continue;
    const Layer& layer = weights_->layers[l];
    for (const Matrix& part : layer.qkv) bytes_.fixed += bytes_of(part);
    bytes_.fixed += bytes_of(layer.dense) + bytes_of(layer.gate) + bytes_of_all(layer.ffn);
    const auto router = size_t(layer.router.n_experts) * size_t(layer.router.dim);
    bytes_.fixed += mapped(layer.router.w, router * sizeof(float));
    size_t routed = 0;
    for (const FeedForward& expert : layer.experts) routed += bytes_of_all(expert);
    bytes_.routed += routed;
    bytes_.layer_routed = std::max(bytes_.layer_routed, routed);
  }
}

// The expert budget: how many experts a token may run so that `active_share` holds, and how much of
// the router's weight is enough.
void Model::limit_experts(const ModelOptions& options) {
  const auto in_range = [](float share) { return share > 0 && share <= 1; };
  if (!in_range(options.expert_coverage) || !in_range(options.active_share)) {
    throw EngineError(ErrorCode::bad_request,
                      "expertCoverage and activeShare must be above 0 and at most 1.");
  }
  max_experts_ = config_.num_experts_per_tok;
  if (weights_->counts.routed == 0) return;
  const Counts& counts = weights_->counts;
  const double each = double(counts.routed) / config_.num_experts;  // one in every layer
  const double always = double(counts.total - counts.routed);
  const double room = double(options.active_share) * double(counts.total) - always;
  max_experts_ = int(std::clamp(room / each, 1.0, double(max_experts_)));
  for (Layer& layer : weights_->layers) {
    layer.router.cover = options.expert_coverage;
    layer.router.max_run = max_experts_;
  }
}

double Model::routed_share() const {
  const Counts& counts = weights_->counts;
  if (counts.routed == 0) return 0;
  const double routed = double(counts.routed) * max_experts_ / config_.num_experts;
  const Matrix& embedding = weights_->embedding;  // of which a token takes a row
  const bool tied = weights_->head.data == embedding.data;
  const double unread = tied ? 0 : double(embedding.rows) * embedding.cols;
  return routed / (double(counts.total - counts.routed) - unread + routed);
}

// Some heads are used with rows of length 1: their lengths are taken once, on the host.
void Model::norm_head() {
  const Matrix& head = weights_->head;
  std::vector<float> row(size_t(head.cols));
  head_scale_.resize(size_t(head.rows));
  for (Token r = 0; r < head.rows; r++) {
    placement_.host->embed(row.data(), head, &r, 1);
    double sum = 0;
    for (const float value : row) sum += double(value) * double(value);
    head_scale_[size_t(r)] = float(1.0 / (std::sqrt(sum) + 1e-7));
  }
}

// Puts the weights where they are used, and makes the stages that use them.
void Model::place_weights() {
  const int layers = config_.num_hidden_layers;
  const int split = std::min(placement_.first_on_device, layers);
  for (int l = 0; l < layers; l++) {
    place_layer(config_, weights_->layers[size_t(l)], placement_.of(l));
  }
  Backend &first = placement_.first(), &last = placement_.last();
  const bool tied = weights_->head.data == weights_->embedding.data;
  weights_->head = last.place(weights_->head);
  if (tied && &first == &last) {
    weights_->embedding = weights_->head;
  } else {
    weights_->embedding = first.place(weights_->embedding);
  }
  Norm& norm = weights_->final_norm;
  const auto hidden = size_t(config_.hidden_size);
  norm.weight = last.place(norm.weight, hidden);
  if (norm.bias != nullptr) norm.bias = last.place(norm.bias, hidden);
  if (!head_scale_.empty()) {
    placed_head_scale_ = last.place(head_scale_.data(), head_scale_.size());
  }
  if (!placement_.embeds_on_device) stages_.push_back(make_stage(*placement_.host, 0, split));
  if (placement_.device != nullptr) {
    stages_.push_back(make_stage(*placement_.device, split, layers));
  }
  if (stages_.size() > 1) between_.resize(size_t(plan_.max_batch) * hidden);
  if (!last.uses_host_memory()) logits_.resize(size_t(config_.vocab_size));
}

Model::Stage Model::make_stage(Backend& backend, int first, int end) {
  const Config& c = config_;
  const RowSizes row(c);
  backend.reserve(limits_of(c, plan_.max_batch, plan_.context_tokens));
  const auto n = size_t(plan_.max_batch);
  const size_t places = n * size_t(c.num_experts_per_tok);
  const auto rows = [&](int size) { return Buffer<float>(backend, n * size_t(size)); };
  Rope rope = weights_->rope;
  rope.frequency = backend.place(rope.frequency, size_t(rope.dim / 2));
  return {backend,
          first,
          end,
          rope,
          {.x = rows(row.hidden),
           .xn = rows(row.hidden),
           .qkv = rows(row.qkv),
           .attn = rows(row.attention),
           .gate = rows(row.gate),
           .up = rows(row.ffn),
           .out = rows(row.hidden),
           .logits = Buffer<float>(backend, kLogitRows * size_t(c.vocab_size)),
           .experts = Buffer<int>(backend, places),
           .expert_weights = Buffer<float>(backend, places),
           .features = Buffer<int>(backend, c.syntax_features.size()),
           .tokens = Buffer<Token>(backend, n),
           .drawn = Buffer<Token>(backend, 1)}};
}

std::span<const float> Model::forward(Sequence& sequence, std::span<const Token> tokens) {
  read(sequence, tokens, Outputs::last);
  return logits(tokens.size() - 1);
}

// What every pass needs that is not in its operations: where it is, and the features.
void Model::begin(Sequence& sequence, int position) {
  const auto& features = sequence.syntax().features;
  for (Stage& stage : stages_) {
    stage.b.begin(position);
    stage.b.upload(stage.s.features.data(), features.data(), features.size() * sizeof(int));
  }
}

Model::Pass Model::pass_of(Sequence& sequence, int n, int position, Outputs outputs) const {
  const Syntax& syntax = sequence.syntax();
  const int first_featured = std::clamp(syntax.from - position, 0, n);
  const int first_output = outputs == Outputs::all ? 0 : outputs == Outputs::last ? n - 1 : n;
  return {sequence, n, position, int(syntax.features.size()), first_featured, first_output};
}

void Model::read(Sequence& sequence, std::span<const Token> tokens, Outputs outputs) {
  assert(!tokens.empty() && tokens.size() <= max_batch());
  assert(sequence.size() + tokens.size() <= sequence.capacity());
  const int n = int(tokens.size()), position = int(sequence.size());
  begin(sequence, position);
  const Pass pass = pass_of(sequence, n, position, outputs);
  Stage& first = stages_.front();
  first.b.upload(first.s.tokens.data(), tokens.data(), tokens.size_bytes());
  first.b.embed(first.s.x.data(), weights_->embedding, first.s.tokens.data(), n);
  for (Stage& stage : stages_) {
    if (&stage != &first) {
      const size_t bytes = size_t(n) * size_t(config_.hidden_size) * sizeof(float);
      first.b.download(between_.data(), first.s.x.data(), bytes);
      stage.b.upload(stage.s.x.data(), between_.data(), bytes);
    }
    run(stage, pass);
  }
  for (Stage& stage : stages_) stage.b.pass(n);
  sequence.append(tokens);
}

// Leaves the logits in the last stage's memory.
void Model::head(size_t first, size_t count) {
  assert(count <= kLogitRows);
  Stage& stage = stages_.back();
  Scratch& s = stage.s;
  const int dim = config_.hidden_size;
  const float* x = s.x.data() + first * size_t(dim);
  norm(stage, s.xn.data(), x, weights_->final_norm, int(count));
  stage.b.matmul(s.logits.data(), weights_->head, s.xn.data(), int(count), 0);
  for (size_t r = 0; placed_head_scale_ != nullptr && r < count; r++) {
    stage.b.scale(logits_at(r), placed_head_scale_, config_.vocab_size);
  }
}

float* Model::logits_at(size_t row) const {
  return stages_.back().s.logits.data() + row * size_t(config_.vocab_size);
}

std::span<const float> Model::logits(size_t index) {
  head(index, 1);
  return row(0);
}

std::span<const float> Model::row(size_t row) {
  Backend& b = stages_.back().b;
  const auto size = size_t(config_.vocab_size);
  if (b.uses_host_memory()) return {logits_at(row), size};
  b.download(logits_.data(), logits_at(row), size * sizeof(float));
  return logits_;
}

void Model::mix(size_t row, int choices, std::span<const Candidate> copied, float share) {
  stages_.back().b.mix(logits_at(row), choices, copied, share);
}

void Model::draw(size_t row, int choices) {
  Stage& stage = stages_.back();
  stage.b.sample(stage.s.drawn.data(), logits_at(row), choices);
}

void Model::step(Sequence& sequence, int position, int choices) {
  assert(steps_alone());
  Stage& stage = stages_.back();
  const Pass pass = pass_of(sequence, 1, position, Outputs::last);
  // What a recorded step depends on: whose memory, how many features, and whether they are taken.
  const uint64_t features = pass.first_featured == 0 ? uint64_t(pass.n_features) : 0;
  stage.b.repeat(sequence.number() << 16 | features, [&] {
    stage.b.embed(stage.s.x.data(), weights_->embedding, stage.s.drawn.data(), 1);
    run(stage, pass);
    head(0, 1);
    draw(0, choices);
    stage.b.pass(1);
  });
}

void Model::norm(Stage& stage, float* y, const float* x, const Norm& norm, int n) {
  const int dim = config_.hidden_size;
  if (config_.layer_norm) {
    stage.b.layernorm(y, x, norm.weight, norm.bias, n, dim, config_.norm_eps);
  } else {
    stage.b.rmsnorm(y, x, norm.weight, n, dim, config_.norm_eps);
  }
}

// x += out, then xn = norm(x), for rows first .. n-1.
void Model::add_norm(Stage& stage, const Norm& norm, int first, int n) {
  const int dim = config_.hidden_size;
  const ptrdiff_t at = ptrdiff_t(first) * dim;
  float *x = stage.s.x.data() + at, *xn = stage.s.xn.data() + at;
  const float* out = stage.s.out.data() + at;
  n -= first;
  if (config_.layer_norm) {
    stage.b.add(x, out, int64_t(n) * dim);
    stage.b.layernorm(xn, x, norm.weight, norm.bias, n, dim, config_.norm_eps);
  } else {
    stage.b.add_rmsnorm(xn, x, out, norm.weight, n, dim, config_.norm_eps);
  }
}

// The transformer. Everything above it prepares this loop, everything below it is a kernel.
void Model::run(Stage& stage, const Pass& pass) {
  Scratch& s = stage.s;
  const int n = pass.n, dim = config_.hidden_size;
  int first = 0;  // of the rows that go on; in the last layer those that are asked for
  for (int l = stage.first; l < stage.end; l++) {
    const Layer& w = weights_->layers[size_t(l)];
    if (l == stage.first) {
      norm(stage, s.xn.data(), s.x.data(), w.input_norm, n);
    } else {
      add_norm(stage, w.input_norm, 0, n);  // of the layer before
    }
    stage.b.matmul(s.qkv.data(), w.qkv, s.xn.data(), n, w.qkv_rows);
    if (l + 1 == config_.num_hidden_layers) first = pass.first_output;
    if (w.lightning) {
      lightning_attention(stage, w, pass, l);
    } else {
      softmax_attention(stage, w, pass, l, first);
    }
    if (first == n) return;
    const float* attn = s.attn.data() + ptrdiff_t(first) * w.dense.cols;
    stage.b.matmul(s.out.data() + ptrdiff_t(first) * dim, w.dense, attn, n - first, 0);
    add_norm(stage, w.post_norm, first, n);
    feed_forward(stage, w, pass, l, first);
  }
  if (stage.first == stage.end) return;
  const ptrdiff_t at = ptrdiff_t(first) * dim;
  stage.b.add(s.x.data() + at, s.out.data() + at, int64_t(n - first) * dim);
}

// Softmax over all before, a window, or a window, hops around the ring and the sinks. A row of qkv:
// all q heads, all k heads, all v heads. Rows before `first` are only attended to.
void Model::softmax_attention(Stage& stage, const Layer& w, const Pass& pass, int layer,
                              int first) {
  const Config& c = config_;
  const auto& [sequence, n, position, n_features, first_featured, first_output] = pass;
  const KvCache& cache = sequence.kv(layer);
  float* qkv = stage.s.qkv.data();
  stage.b.norm_rope_store(cache, qkv, w.q_norm, w.k_norm, n, w.qkv_rows, c.num_attention_heads,
                          stage.rope, c.norm_eps, position);
  if (first < n) {
    stage.b.attention(stage.s.attn.data() + ptrdiff_t(first) * w.dense.cols,
                      qkv + ptrdiff_t(first) * w.qkv_rows, cache, n - first, w.qkv_rows,
                      c.num_attention_heads, position + first);
  }
  sequence.save_rows(layer, position, n);
}

// The decayed sum of k v^T, asked with q; then the norm and gate of its output.
void Model::lightning_attention(Stage& stage, const Layer& w, const Pass& pass, int layer) {
  const Config& c = config_;
  const auto& [sequence, n, position, n_features, first_featured, first_output] = pass;
  const int stride = w.qkv_rows, heads = c.num_attention_heads, dim = c.attention_dim();
  Scratch& s = stage.s;
  float *q = s.qkv.data(), *k = q + dim, *v = k + dim, *attn = s.attn.data();
  const LinearState& state = sequence.state(layer);
  Backend& b = stage.b;
  assert(n <= sequence.log(layer).slots);

  b.matmul(s.gate.data(), w.gate, s.xn.data(), n, 0);
  if (c.linear_silu) b.silu(q, int64_t(n) * stride);
  const Rope rope = c.linear_rope ? stage.rope : Rope{};
  b.norm_rope_store(sequence.log(layer), q, w.q_norm, w.k_norm, n, stride, heads, rope, c.norm_eps,
                    position);
  for (int i = 0; i < n;) {  // in parts that end where a checkpoint is due
    const int end = std::min(n, sequence.next_checkpoint(position + i) - position);
    const ptrdiff_t row = ptrdiff_t(i) * stride;
    b.lightning(attn + ptrdiff_t(i) * dim, q + row, k + row, v + row, state, end - i, stride);
    sequence.save_state(layer, position + end);
    i = end;
  }
  b.gated_group_norm(attn, attn, s.gate.data(), w.gate_norm, n, dim, c.group_norm_size, c.norm_eps);
}

// out = the dense feed-forward of xn, or the shared experts' and each token's own ones; for rows
// from `first` on.
void Model::feed_forward(Stage& stage, const Layer& w, const Pass& pass, int layer, int first) {
  const int n = pass.n - first, first_featured = std::max(0, pass.first_featured - first);
  const ptrdiff_t at = ptrdiff_t(first) * config_.hidden_size;
  Scratch& s = stage.s;
  float *xn = s.xn.data() + at, *out = s.out.data() + at;
  float *gate = s.gate.data(), *up = s.up.data();
  Backend& b = stage.b;

  if (w.ffn_hidden == 0) {
    b.clear(out, size_t(n) * size_t(config_.hidden_size) * sizeof(float));
  } else if (w.ffn.gate.data == nullptr) {
    b.matmul(up, w.ffn.up, xn, n, 0);
    b.gelu(up, int64_t(n) * w.ffn_hidden);
    b.matmul(out, w.ffn.down, up, n, 0);
  } else {
    b.feed_forward(out, w.ffn, xn, n, gate, up);
  }
  if (w.router.n_experts == 0) return;

  int* experts = s.experts.data();
  float* weights = s.expert_weights.data();
  b.route(experts, weights, w.router, xn, n, s.features.data(), pass.n_features, first_featured);
  if (pager_ && b.uses_host_memory()) {
    pager_->touch(layer, {experts, size_t(n) * size_t(w.router.top_k)});
  }
  b.experts(out, w.expert_set, experts, weights, w.router.top_k, xn, n);
}

}  // namespace ringside
