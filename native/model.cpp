#include "model.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "error.h"

namespace ringside {

namespace {

size_t bytes_of(const Matrix& m) { return data_bytes(m) + scale_bytes(m); }

size_t bytes_of(const FeedForward& f) {
  return bytes_of(f.gate) + bytes_of(f.up) + bytes_of(f.down);
}

Config with_options(Config config, const ModelOptions& options) {
  if (options.slope_layer_shift < 0 || options.slope_layer_shift > 1) {
    throw EngineError(ErrorCode::bad_request, "slopeLayerShift must be 0 or 1.");
  }
  config.slope_layer_shift = options.slope_layer_shift;
  return config;
}

}  // namespace

Model::Model(const ModelFiles& files, Backend& backend, const ModelOptions& options,
             const std::function<void(float)>& on_progress)
    : config_(with_options(files.config(), options)),
      weights_(std::make_unique<Weights>(files, on_progress)),
      backend_(backend) {
  int context = config_.max_position_embeddings, batch = kMaxBatch;
  if (options.context_tokens > 0) context = std::min(options.context_tokens, context);
  if (config_.ring_window > 0) batch = std::min(batch, config_.ring_slots - config_.ring_reach());
  count_bytes();
  plan_ = plan_memory(config_, bytes_, options.memory_bytes, context, batch);
  if (plan_.expert_cache > 0) {
    pager_ = std::make_unique<ExpertPager>(weights_->layers, files, plan_.expert_cache);
  }
  limit_experts(options);
  reserve();
  if (config_.norm_head) norm_head();
}

// Matrices only: the rest is small.
void Model::count_bytes() {
  bytes_.fixed = bytes_of(weights_->embedding);
  if (weights_->head.data != weights_->embedding.data) bytes_.fixed += bytes_of(weights_->head);
  for (const Layer& layer : weights_->layers) {
    for (const Matrix& part : layer.qkv) bytes_.fixed += bytes_of(part);
    bytes_.fixed += bytes_of(layer.dense) + bytes_of(layer.gate) + bytes_of(layer.ffn);
    size_t routed = 0;
    for (const FeedForward& expert : layer.experts) routed += bytes_of(expert);
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

// Some heads are used with rows of length 1: their lengths are taken once.
void Model::norm_head() {
  const Matrix& head = weights_->head;
  std::vector<float> row(size_t(head.cols));
  head_scale_.resize(size_t(head.rows));
  for (Token r = 0; r < head.rows; r++) {
    backend_.embed(row.data(), head, &r, 1);
    double sum = 0;
    for (const float value : row) sum += double(value) * double(value);
    head_scale_[size_t(r)] = float(1.0 / (std::sqrt(sum) + 1e-7));
  }
}

void Model::reserve() {
  const Config& c = config_;
  const int dim = c.attention_dim();
  int max_qkv = 0, max_ffn = 0;
  for (const Layer& layer : weights_->layers) {
    max_qkv = std::max(max_qkv, layer.qkv_rows);
    max_ffn = std::max(max_ffn, layer.ffn_hidden);
  }
  const int widest = std::max({c.hidden_size, dim, max_ffn, c.moe_intermediate_size});
  backend_.reserve({.max_batch = plan_.max_batch,
                    .max_cols = widest,
                    .max_rows = std::max(widest, max_qkv),
                    .max_experts = c.num_experts,
                    .max_top_k = c.num_experts_per_tok,
                    .max_hidden = c.moe_intermediate_size,
                    .max_context = plan_.context_tokens});

  const auto n = size_t(plan_.max_batch);
  s_.x.resize(n * size_t(c.hidden_size));
  s_.xn.resize(n * size_t(c.hidden_size));
  s_.qkv.resize(n * size_t(max_qkv));
  s_.attn.resize(n * size_t(dim));
  s_.gate.resize(n * size_t(std::max(dim, max_ffn)));
  s_.up.resize(n * size_t(max_ffn));
  s_.out.resize(n * size_t(c.hidden_size));
  s_.logits.resize(size_t(c.vocab_size));
  s_.experts.resize(n * size_t(c.num_experts_per_tok));
  s_.expert_weights.resize(n * size_t(c.num_experts_per_tok));
}

std::span<const float> Model::forward(Sequence& sequence, std::span<const Token> tokens) {
  read(sequence, tokens);
  return logits(tokens.size() - 1);
}

void Model::read(Sequence& sequence, std::span<const Token> tokens) {
  assert(!tokens.empty() && tokens.size() <= max_batch());
  assert(sequence.size() + tokens.size() <= sequence.capacity());
  const int n = int(tokens.size());
  backend_.embed(s_.x.data(), weights_->embedding, tokens.data(), n);
  forward_layers(sequence, n);
  sequence.append(tokens);
}

std::span<const float> Model::logits(size_t index) {
  const int dim = config_.hidden_size;
  const float* x = s_.x.data() + index * size_t(dim);
  norm(s_.xn.data(), x, weights_->final_norm, 1);
  backend_.matmul(s_.logits.data(), weights_->head, s_.xn.data(), 1);
  for (size_t r = 0; r < head_scale_.size(); r++) s_.logits[r] *= head_scale_[r];
  return s_.logits;
}

void Model::norm(float* y, const float* x, const Norm& norm, int n) {
  const int dim = config_.hidden_size;
  if (config_.layer_norm) {
    backend_.layernorm(y, x, norm.weight, norm.bias, n, dim, config_.norm_eps);
  } else {
    backend_.rmsnorm(y, x, norm.weight, n, dim, config_.norm_eps);
  }
}

// The transformer. Everything above it prepares this loop, everything below it is a kernel.
void Model::forward_layers(Sequence& sequence, int n) {
  const int position = int(sequence.size());
  const int dim = config_.hidden_size;
  float *x = s_.x.data(), *xn = s_.xn.data(), *attn = s_.attn.data(), *out = s_.out.data();
  Backend& b = backend_;

  for (int l = 0; l < config_.num_hidden_layers; l++) {
    const Layer& w = weights_->layers[size_t(l)];
    norm(xn, x, w.input_norm, n);
    project(w, n);
    if (w.lightning) {
      lightning_attention(w, sequence, l, n, position);
    } else {
      softmax_attention(w, sequence, l, n, position);
    }
    b.matmul(out, w.dense, attn, n);
    b.add(x, out, int64_t(n) * dim);

    norm(xn, x, w.post_norm, n);
    feed_forward(w, sequence.syntax(), l, n, position);
    b.add(x, out, int64_t(n) * dim);
  }
}

// qkv: rows of all q heads, all k heads, all v heads, from one matrix or from three.
void Model::project(const Layer& w, int n) {
  float* qkv = s_.qkv.data();
  for (const Matrix& part : w.qkv) {
    backend_.matmul(qkv, part, s_.xn.data(), n, w.qkv_rows);
    qkv += part.rows;
  }
}

// Softmax over all before, a window, or a window, hops around the ring and the sinks.
void Model::softmax_attention(const Layer& w, Sequence& sequence, int layer, int n, int position) {
  const Config& c = config_;
  const KvCache& cache = sequence.kv(layer);
  const int stride = w.qkv_rows;
  float* q = s_.qkv.data();
  float* k = q + c.attention_dim();
  float* v = k + c.num_key_value_heads * c.head_dim;
  Backend& b = backend_;

  b.norm_rope(q, w.q_norm, n, stride, c.num_attention_heads, c.head_dim, weights_->rope, c.norm_eps,
              position);
  b.norm_rope(k, w.k_norm, n, stride, c.num_key_value_heads, c.head_dim, weights_->rope, c.norm_eps,
              position);
  b.store(cache, k, v, n, stride, position);
  b.attention(s_.attn.data(), q, cache, n, stride, c.num_attention_heads, position);
  sequence.save_rows(layer, position, n);
}

// The decayed sum of k v^T, asked with q; then the norm and gate of its output.
void Model::lightning_attention(const Layer& w, Sequence& sequence, int layer, int n,
                                int position) {
  const Config& c = config_;
  const int stride = w.qkv_rows, heads = c.num_attention_heads, dim = c.attention_dim();
  float *q = s_.qkv.data(), *k = q + dim, *v = k + dim, *attn = s_.attn.data();
  const LinearState& state = sequence.state(layer);
  Backend& b = backend_;

  b.matmul(s_.gate.data(), w.gate, s_.xn.data(), n);
  if (c.linear_silu) b.silu(q, int64_t(n) * stride);
  const Rope rope = c.linear_rope ? weights_->rope : Rope{};
  b.norm_rope(q, w.q_norm, n, stride, heads, c.head_dim, rope, c.norm_eps, position);
  b.norm_rope(k, w.k_norm, n, stride, heads, c.head_dim, rope, c.norm_eps, position);
  sequence.log(layer, k, v, n, stride);
  for (int i = 0; i < n;) {  // in parts that end where a checkpoint is due
    const int end = std::min(n, sequence.next_checkpoint(position + i) - position);
    const ptrdiff_t row = ptrdiff_t(i) * stride;
    b.lightning(attn + ptrdiff_t(i) * dim, q + row, k + row, v + row, state, end - i, stride);
    sequence.save_state(layer, position + end);
    i = end;
  }
  b.gated_group_norm(attn, attn, s_.gate.data(), w.gate_norm, n, dim, c.group_norm_size,
                     c.norm_eps);
}

// out = the dense feed-forward of xn, or the shared experts' and each token's own ones.
void Model::feed_forward(const Layer& w, const Syntax& syntax, int layer, int n, int position) {
  float *xn = s_.xn.data(), *gate = s_.gate.data(), *up = s_.up.data(), *out = s_.out.data();
  Backend& b = backend_;

  if (w.ffn_hidden == 0) {
    std::fill_n(out, size_t(n) * size_t(config_.hidden_size), 0.0f);
  } else if (w.ffn.gate.data == nullptr) {
    b.matmul(up, w.ffn.up, xn, n);
    b.gelu(up, int64_t(n) * w.ffn_hidden);
    b.matmul(out, w.ffn.down, up, n);
  } else {
    b.matmul(gate, w.ffn.gate, xn, n);
    b.matmul(up, w.ffn.up, xn, n);
    b.swiglu(gate, up, int64_t(n) * w.ffn_hidden);
    b.matmul(out, w.ffn.down, gate, n);
  }
  if (w.router.n_experts == 0) return;

  int* experts = s_.experts.data();
  float* weights = s_.expert_weights.data();
  const int first_featured = std::clamp(syntax.from - position, 0, n);
  b.route(experts, weights, w.router, xn, n, syntax.features.data(), int(syntax.features.size()),
          first_featured);
  if (pager_) pager_->touch(layer, {experts, size_t(n) * size_t(w.router.top_k)});
  b.experts(out, w.experts.data(), experts, weights, w.router.top_k, xn, n);
}

}  // namespace ringside
