// The numbers: everything the engine asks of a processor, one virtual call an operation.
//
// A Backend owns no model and no sequence. It computes on plain float arrays (activations,
// row-major [n, dim]), on Matrices (weights: in place in the mapped file, or as place() made them),
// and on the two kinds of memory that a sequence keeps: a KvCache (ring or full attention) and a
// LinearState (lightning attention).
//
// All pointers that an operation takes lead into the backend's own memory, which is the host's for
// a CPU (host_backend.h) and a device's for a GPU. A device does what it is asked for in order, and
// later than the call returns; download() and choice() wait.
//
// The reference backend (reference.cpp) is the specification: plain loops, read it to know what an
// operation means. Every other backend is compared with it over types and odd shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "type.h"

namespace ringside {

using Token = int32_t;

constexpr int kMaxHeadDim = 256;  // the largest head_dim that a backend is asked with

// Weights [rows, cols], row-major, not owned: points into the mapped file.
struct Matrix {
  Type type = Type::f32;
  int rows = 0;
  int cols = 0;
  // int4: little-endian words of eight values, each value + 8, the first in the lowest four bits
  // (compressed-tensors "pack-quantized"); f8: E4M3FN bytes; the others: their IEEE / bfloat16
  // bits.
  const void* data = nullptr;
  // int4: float16 [rows, cols / group]. f8: float32 [rows], or where block > 0 float32
  // [ceil(rows / block), ceil(cols / block)]. Otherwise null: GGUF's blocks hold their own.
  const void* scales = nullptr;
  const uint8_t* zeros = nullptr;  // int4: [rows, cols / group], subtracted in place of 8; or null
  int group = kGroup;              // int4: columns that share a scale, a multiple of 32
  int block = 0;                   // f8: rows and columns that share a scale; 0: a row does
  const float* bias = nullptr;     // [rows], added to each product; or null
};

// Bytes of `cols` values of a row: whole blocks. cols is a multiple of block_cols(type).
int64_t row_bytes(Type type, int cols);
// Columns that are stored together: 1, 32 or 256; int4: 32.
int block_cols(Type type);

// The keys and values of one softmax layer, for `slots` positions; position p lives in slot p mod
// slots. Layout: `type` [slots + sinks][n_kv_heads][head_dim], the same for k and v. The last
// `sinks` rows hold positions 0 .. sinks-1 for good, because the ring overwrites them. Full
// attention is the case slots >= positions, sinks = 0, window = 0.
//
// f16: what is stored is rounded to the nearest, ties to even. Finite values beyond +-65504 become
// that, so that one channel out of range costs its excess and not the whole softmax; infinities and
// NaN stay what they are, so that damaged weights are still found. Sums are of floats.
struct KvCache {
  void* k = nullptr;
  void* v = nullptr;
  int slots = 0;
  int sinks = 0;
  int window = 0;   // positions p-window+1 .. p are attended; 0: all of 0 .. p (full attention)
  int max_hop = 0;  // and p - 2^j, for every 2^j with window <= 2^j <= max_hop
  int n_kv_heads = 0;
  int head_dim = 0;
  Type type = Type::f32;  // or f16

  int64_t row_bytes() const { return ringside::row_bytes(type, n_kv_heads * head_dim); }
};

// What one lightning layer remembers: S = sum of k v^T with decay, float [n_heads][head_dim (of
// k)][head_dim (of v)].
struct LinearState {
  float* s = nullptr;
  const float* decay = nullptr;  // [n_heads], s_h > 0: S is multiplied by exp(-s_h) a token
  int n_heads = 0;
  int head_dim = 0;
};

// Rotary position embedding: of each head the first `dim` channels, as pairs (i, i + dim / 2), or
// where interleaved (2i, 2i + 1), turn by position * frequency[i] and grow by `scale`.
struct Rope {
  const float* frequency = nullptr;  // [dim / 2], radians a position
  int dim = 0;                       // 0: no rotation
  float scale = 1.0f;                // YaRN's attention factor
  bool interleaved = false;
};

// A SwiGLU feed-forward: down(silu(gate x) * up x). gate, up: [hidden, dim]; down: [dim, hidden].
struct FeedForward {
  Matrix gate, up, down;
};

// Which experts a token takes. logits = w h + sum of the columns of `syntax` that the token's
// features name; score = sigmoid(logits), or their softmax; the `top_k` best of score + bias;
// weight = score / (sum + 1e-20) * scale, or score * scale where not normalized. n_group > 1: only
// experts of the topk_group groups whose two best sum highest are eligible.
//
// The expert budget: of these, in the order of choice, only as many run as it takes for their
// scores to sum to at least `cover` of the sum of all top_k, at most max_run and at least one. The
// others' places hold -1 and weight 0, and the scores of those that run are scaled up to the sum of
// all top_k, so that the layer's output keeps its size.
struct Router {
  const float* w = nullptr;       // [n_experts, dim]
  const float* bias = nullptr;    // [n_experts], or null
  const float* syntax = nullptr;  // [n_experts, n_features], or null
  int n_experts = 0;
  int n_features = 0;
  int dim = 0;
  int top_k = 0;
  int n_group = 1;
  int topk_group = 1;
  float scale = 1.0f;
  bool softmax = false;
  bool normalized = true;
  float cover = 1.0f;  // 1: all
  int max_run = 0;     // 0: all
};

// The experts that a layer's tokens choose among, all of the same shapes.
struct ExpertSet {
  std::span<const FeedForward> all;
  const void* table = nullptr;  // what place() made of them; null: they are used as they are
};

// Copies of what a layer holds at every `every` positions: that of position c, a multiple of
// `every` above 0, is the `floats` floats at memory + (c / every - 1) * floats; of an f16 cache two
// values in the place of each.
struct Snapshots {
  float* memory = nullptr;
  int64_t floats = 0;
  int every = 0;
};

struct Sampling {
  float temperature = 0;  // 0: greedy
  float top_p = 1;        // the smallest set of best tokens with at least this probability
  uint64_t seed = 0;      // the same seed and logits give the same tokens
};

// A token and how likely it is.
struct Candidate {
  float probability;
  Token token;
};
constexpr size_t kMostMixed = 64;  // candidates that Backend::mix takes

struct Choice {
  Token token = 0;
  float log_probability = 0;  // natural, by the logits as they are: temperature 1, all tokens
  bool finite = true;         // all logits were numbers; if not, the rest means nothing
};

constexpr size_t kMemoryAlignment = 64;  // bytes: a cache line, and a register of AVX-512

// Limits that a backend sizes its own scratch memory by, once: no operation allocates.
struct Limits {
  int max_batch = 256;  // rows n of any call
  int max_cols = 0;     // widest input of a matmul
  int max_rows = 0;     // tallest output of a matmul, the vocabulary left out
  int max_experts = 0;
  int max_top_k = 0;
  int max_hidden = 0;   // of an expert
  int max_context = 0;  // positions that full attention can look at
  int max_heads = 0;
  int max_head_dim = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;  // "reference", "avx2", "avx512", "neon", "cuda"
  virtual int threads() const = 0;
  virtual std::string device_name() const = 0;  // as its driver says it; "": the host's processor

  // ---- memory ----

  // Whether the backend's memory is the host's: what is in it can be read and written directly.
  virtual bool uses_host_memory() const = 0;
  // Aligned to kMemoryAlignment, contents undefined. Throws std::bad_alloc, or DeviceError.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  // From the host, which may change its memory once this returns; and to the host, waiting.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  // Within the backend's memory.
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  virtual void clear(void* memory, size_t bytes) = 0;
  // Bytes that allocate() could give now; SIZE_MAX: not limited here.
  virtual size_t free_bytes() const = 0;

  // ---- weights ----

  // Bytes of the backend's memory that place() takes for `w`.
  virtual size_t placed_bytes(const Matrix& w) const = 0;
  // The weights as operations take them: copied to the device, or just as they are. What is placed
  // stays until forget_placed() or the end. Throws as allocate() does.
  virtual Matrix place(const Matrix& w) = 0;
  virtual const float* place(const float* values, size_t count) = 0;
  // `experts` are placed already; `all` must stay where it is.
  virtual ExpertSet place(std::span<const FeedForward> experts) = 0;
  virtual void forget_placed() = 0;

  // ---- passes ----

  // Called once, before anything else; may be called again with larger limits.
  virtual void reserve(const Limits& limits) = 0;
  // Bytes of the backend's memory that reserve() then takes, more or less.
  virtual size_t reserved_bytes(const Limits& limits) const = 0;

  // A pass begins at `position`: until the next one, operations name positions from here on.
  virtual void begin(int position) = 0;
  // The pass was of n tokens, and another one begins behind it.
  virtual void pass(int n) = 0;
  // Does what `record` asks for. A device may keep it under `key` and do the same again the next
  // time without asking: all that `record` depends on but the contents of memory, the position of
  // the pass and the number of draws must be in `key`.
  virtual void repeat(uint64_t key, const std::function<void()>& record) = 0;
  // Forgets what repeat() has kept: its memory is about to be released.
  virtual void forget_repeated() = 0;
  // Whether what is asked for goes on while the host does something else, so that asking for the
  // next token before this one is known gains time.
  virtual bool runs_ahead() const = 0;

  // ---- operations ----

  // y [n, rows] = x [n, cols] w^T + bias. Rows of y lie y_stride floats apart; 0: w.rows.
  virtual void matmul(float* y, const Matrix& w, const float* x, int n, int y_stride) = 0;
  void matmul(float* y, const Matrix& w, const float* x, int n) { matmul(y, w, x, n, 0); }
  // The same for several matrices of one input, whose rows follow each other in y: q, k and v.
  virtual void matmul(float* y, std::span<const Matrix> parts, const float* x, int n,
                      int y_stride) = 0;
  // y [n, cols]: the rows of w that `tokens` [n] name, dequantized.
  virtual void embed(float* y, const Matrix& w, const Token* tokens, int n) = 0;
  // y [n, dim] = x / rms(x) * weight, per row. y may be x.
  virtual void rmsnorm(float* y, const float* x, const float* weight, int n, int dim,
                       float eps) = 0;
  // y [n, dim] = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias, per row. y may be x.
  virtual void layernorm(float* y, const float* x, const float* weight, const float* bias, int n,
                         int dim, float eps) = 0;
  // x += y, `size` floats.
  virtual void add(float* x, const float* y, int64_t size) = 0;
  // x *= y, `size` floats.
  virtual void scale(float* x, const float* y, int64_t size) = 0;
  // x += delta, then y = rmsnorm(x), all [n, dim].
  virtual void add_rmsnorm(float* y, float* x, const float* delta, const float* weight, int n,
                           int dim, float eps) = 0;
  // gate = silu(gate) * up, `size` floats.
  virtual void swiglu(float* gate, const float* up, int64_t size) = 0;
  // x = silu(x), `size` floats.
  virtual void silu(float* x, int64_t size) = 0;
  // y [n, down.rows] = down(silu(gate x) * up x). gate, up: memory for [n, gate.rows] each.
  virtual void feed_forward(float* y, const FeedForward& ffn, const float* x, int n, float* gate,
                            float* up) = 0;
  // x = gelu(x), `size` floats, by its tanh approximation: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715
  // x^3))).
  virtual void gelu(float* x, int64_t size) = 0;

  // x: n rows of `stride` floats, each starting with n_heads heads of head_dim, changed in place:
  // RMSNorm of each head (weight [head_dim], or null for none), then RoPE at positions position ..
  // position+n-1.
  virtual void norm_rope(float* x, const float* weight, int n, int stride, int n_heads,
                         int head_dim, const Rope& rope, float eps, int position) = 0;

  // Writes k, v (rows of `stride` floats, n_kv_heads * head_dim of them used) to positions position
  // .. position+n-1.
  virtual void store(const KvCache& cache, const float* k, const float* v, int n, int stride,
                     int position) = 0;
  // norm_rope of the q heads and the k heads of rows [q | k | v] of `stride` floats, then store of
  // k and v. The caches's n_kv_heads and head_dim say where in the row they begin.
  virtual void norm_rope_store(const KvCache& cache, float* qkv, const float* q_norm,
                               const float* k_norm, int n, int stride, int n_heads,
                               const Rope& rope, float eps, int position) = 0;
  // out [n, n_heads * head_dim]: softmax(q k^T / sqrt(head_dim)) v over the positions that the
  // cache's window, hops and sinks allow, each counted once. q: rows of `stride` floats. Position p
  // must be stored already, and for rings slots >= max(window, max_hop) + n. Query head h reads kv
  // head h / (n_heads / n_kv_heads).
  virtual void attention(float* out, const float* q, const KvCache& cache, int n, int stride,
                         int n_heads, int position) = 0;

  // For each of n tokens in turn: S = exp(-decay) S + k v^T; out = (q / sqrt(head_dim))^T S. q, k,
  // v: rows of `stride` floats; out [n, n_heads * head_dim]. One token: the recurrence; many:
  // chunks, the same to rounding.
  virtual void lightning(float* out, const float* q, const float* k, const float* v,
                         const LinearState& state, int n, int stride) = 0;
  // S = exp(-decay n) S + sum_i exp(-decay (n-1-i)) k_i v_i^T: what `lightning` does to the state,
  // without outputs.
  virtual void advance(const float* k, const float* v, const LinearState& state, int n,
                       int stride) = 0;

  // The state that has read `position` tokens goes to its snapshot, if one is due there.
  virtual void save(const Snapshots& to, const LinearState& state, int position) = 0;
  // Of a ring that has stored position - 1: the rows of positions position-rows .. position-1 go to
  // the snapshot of `position`, if one is due there: [rows, n_kv_heads * head_dim] k, then v, as
  // they are stored.
  virtual void save(const Snapshots& to, const KvCache& cache, int rows, int position) = 0;
  // The rows of positions first .. position-1 go back into the ring, each from the first snapshot
  // that has it. `position` is a multiple of every.
  virtual void load(const Snapshots& from, const KvCache& cache, int rows, int first,
                    int position) = 0;

  // y [n, dim] = group_rmsnorm(x) * weight * sigmoid(gate); `groups` contiguous groups a row. y may
  // be x.
  virtual void gated_group_norm(float* y, const float* x, const float* gate, const float* weight,
                                int n, int dim, int groups, float eps) = 0;

  // experts, weights [n, top_k] of each token of h [n, dim]; experts[..] -1: none. features:
  // [n_active] column indices of Router::syntax for tokens first_featured .. n-1; the tokens before
  // take none.
  virtual void route(int* experts, float* weights, const Router& router, const float* h, int n,
                     const int* features, int n_active, int first_featured) = 0;
  // y [n, dim] += sum over each token's top_k experts, those that are -1 left out, of weight *
  // FeedForward(x).
  virtual void experts(float* y, const ExpertSet& all, const int* experts, const float* weights,
                       int top_k, const float* x, int n) = 0;

  // Draws from now on are as `sampling` says, and the next one is number 0.
  virtual void begin_sampling(const Sampling& sampling) = 0;
  // logits [count] become those of (1 - share) softmax(logits) + share * copied; only the copied
  // ones change. copied: at most kMostMixed, each token once; share in 0 .. 1, below 1.
  virtual void mix(float* logits, int count, std::span<const Candidate> copied, float share) = 0;
  // The next draw from logits [count]; its token goes to *next as well.
  virtual void sample(Token* next, const float* logits, int count) = 0;
  // What draw number `number` was: of the last two draws. Waits for it.
  virtual Choice choice(int number) = 0;
};

// The plain loops.
std::unique_ptr<Backend> make_reference_backend();
// The same without rounding activations: what a model computes whose weights were dequantized. For
// tests against implementations in float32.
std::unique_ptr<Backend> make_exact_backend();

// The CPU backend with the named instruction set, or null if this machine or build lacks it.
// isa: "reference", "avx2", "avx512", "neon", or "auto" for the best there is. threads 0: the
// physical cores.
std::unique_ptr<Backend> make_backend(std::string_view isa, int threads);

// The names make_backend() accepts here, the best first, "reference" last.
std::vector<std::string> available_backends();

}  // namespace ringside
