#include "model.h"

#include <algorithm>
#include <cassert>

#include "error.h"

namespace ringside {

Model::Model(const std::filesystem::path& folder, Backend& backend, int context_tokens,
             const std::function<void(float)>& on_progress)
    : config_(parse_config(read_text(folder / "config.json"), display(folder / "config.json"))),
      mapping_(folder / "model.safetensors"),
      where_(display(folder / "model.safetensors")),
      backend_(backend),
      context_tokens_(config_.max_position_embeddings),
      max_batch_(kMaxBatch) {
  if (context_tokens > 0) context_tokens_ = std::min(context_tokens, context_tokens_);
  if (config_.ring_window > 0) {
    max_batch_ = std::min(max_batch_, config_.ring_slots - config_.ring_reach());
  }
  tensors_ = parse_safetensors(mapping_.bytes(), where_);
  weights_ = std::make_unique<Weights>(config_, tensors_, where_, on_progress);
  for (const auto& [name, tensor] : tensors_) weight_bytes_ += tensor.bytes.size();
  reserve();
}

void Model::reserve() {
  const Config& c = config_;
  const int dim = c.num_attention_heads * c.head_dim;
  int max_qkv = 0, max_ffn = 0;
  for (const Layer& layer : weights_->layers) {
    max_qkv = std::max(max_qkv, layer.qkv.rows);
    max_ffn = std::max(max_ffn, layer.ffn_hidden);
  }
  const int widest = std::max({c.hidden_size, dim, max_ffn, c.moe_intermediate_size});
  backend_.reserve({.max_batch = max_batch_,
                    .max_cols = widest,
                    .max_rows = std::max(widest, max_qkv),
                    .max_experts = c.num_experts,
                    .max_top_k = c.num_experts_per_tok,
                    .max_hidden = c.moe_intermediate_size,
                    .max_context = context_tokens_});

  const auto n = size_t(max_batch_);
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
  backend_.rmsnorm(s_.xn.data(), x, weights_->final_norm, 1, dim, config_.rms_norm_eps);
  backend_.matmul(s_.logits.data(), weights_->embedding, s_.xn.data(), 1);
  return s_.logits;
}

// The transformer. Everything above it prepares this loop, everything below it is a kernel.
void Model::forward_layers(Sequence& sequence, int n) {
  const int position = int(sequence.size());
  const int dim = config_.hidden_size;
  const float eps = config_.rms_norm_eps;
  float *x = s_.x.data(), *xn = s_.xn.data(), *attn = s_.attn.data(), *out = s_.out.data();
  Backend& b = backend_;

  for (int l = 0; l < config_.num_hidden_layers; l++) {
    const Layer& w = weights_->layers[size_t(l)];
    b.rmsnorm(xn, x, w.input_norm, n, dim, eps);
    b.matmul(s_.qkv.data(), w.qkv, xn, n);
    if (w.lightning) {
      lightning_attention(w, sequence, l, n, position);
    } else {
      ring_attention(w, sequence, l, n, position);
    }
    b.matmul(out, w.dense, attn, n);
    b.add(x, out, int64_t(n) * dim);

    b.rmsnorm(xn, x, w.post_norm, n, dim, eps);
    feed_forward(w, sequence.syntax(), n, position);
    b.add(x, out, int64_t(n) * dim);
  }
}

// Softmax over the near past, hops around the ring, and the sinks; q and k normed and rotated.
void Model::ring_attention(const Layer& w, Sequence& sequence, int layer, int n, int position) {
  const Config& c = config_;
  const KvCache& cache = sequence.kv(layer);
  const int stride = w.qkv.rows;
  float* q = s_.qkv.data();
  float* k = q + c.num_attention_heads * c.head_dim;
  float* v = k + c.num_key_value_heads * c.head_dim;
  Backend& b = backend_;

  b.norm_rope(q, w.q_norm, n, stride, c.num_attention_heads, c.head_dim, c.rotary_dim, c.rope_theta,
              c.rms_norm_eps, position);
  b.norm_rope(k, w.k_norm, n, stride, c.num_key_value_heads, c.head_dim, c.rotary_dim, c.rope_theta,
              c.rms_norm_eps, position);
  b.store(cache, k, v, n, stride, position);
  b.attention(s_.attn.data(), q, cache, n, stride, c.num_attention_heads, position);
  sequence.save_rows(layer, position, n);
}

// The decayed sum of k v^T, asked with q; then the norm and gate of its output.
void Model::lightning_attention(const Layer& w, Sequence& sequence, int layer, int n,
                                int position) {
  const Config& c = config_;
  const int stride = w.qkv.rows, heads = c.num_attention_heads, dim = heads * c.head_dim;
  float *q = s_.qkv.data(), *k = q + dim, *v = k + dim, *attn = s_.attn.data();
  const LinearState& state = sequence.state(layer);
  Backend& b = backend_;

  b.matmul(s_.gate.data(), w.gate, s_.xn.data(), n);
  if (c.linear_silu) b.silu(q, int64_t(n) * stride);
  b.norm_rope(q, w.q_norm, n, stride, heads, c.head_dim, c.rotary_dim, c.rope_theta, c.rms_norm_eps,
              position);
  b.norm_rope(k, w.k_norm, n, stride, heads, c.head_dim, c.rotary_dim, c.rope_theta, c.rms_norm_eps,
              position);
  sequence.log(layer, k, v, n, stride);
  for (int i = 0; i < n;) {  // in parts that end where a checkpoint is due
    const int end = std::min(n, Checkpoints::after(position + i) - position);
    const ptrdiff_t row = ptrdiff_t(i) * stride;
    b.lightning(attn + ptrdiff_t(i) * dim, q + row, k + row, v + row, state, end - i, stride);
    sequence.save_state(layer, position + end);
    i = end;
  }
  b.gated_group_norm(attn, attn, s_.gate.data(), w.gate_norm, n, dim, c.group_norm_size,
                     c.rms_norm_eps);
}

// out = the dense feed-forward of xn, or the shared experts' and each token's own ones.
void Model::feed_forward(const Layer& w, const Syntax& syntax, int n, int position) {
  float *xn = s_.xn.data(), *gate = s_.gate.data(), *up = s_.up.data(), *out = s_.out.data();
  Backend& b = backend_;

  if (w.ffn_hidden > 0) {
    b.matmul(gate, w.ffn.gate, xn, n);
    b.matmul(up, w.ffn.up, xn, n);
    b.swiglu(gate, up, int64_t(n) * w.ffn_hidden);
    b.matmul(out, w.ffn.down, gate, n);
  } else {
    std::fill_n(out, size_t(n) * size_t(config_.hidden_size), 0.0f);
  }
  if (w.router.n_experts == 0) return;

  int* experts = s_.experts.data();
  float* weights = s_.expert_weights.data();
  const int first_featured = std::clamp(syntax.from - position, 0, n);
  b.route(experts, weights, w.router, xn, n, syntax.features.data(), int(syntax.features.size()),
          first_featured);
  b.experts(out, w.experts.data(), experts, weights, w.router.top_k, xn, n);
}

}  // namespace ringside
