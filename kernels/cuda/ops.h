// What the CUDA backend launches: one declaration an operation, in the words of kernels/backend.h.
// All pointers are device memory unless they say otherwise. Nothing here waits or allocates.
//
// A step of decoding is recorded once and replayed, so nothing may depend on what the host knows of
// a position: kernels read it from `base`, the device's copy of the position that the pass began
// at.
#pragma once

#include <span>

#include "../backend.h"
#include "device.h"

namespace ringside::cuda {

// Where in the text an operation is: at *base + offset.
struct Position {
  const int* base = nullptr;
  int offset = 0;
  int bound = 0;  // *base + offset is less than this; on the host, for choosing a grid
};

// Activations [n, cols] in the forms in which they meet weights (Type says which): filled by
// prepare() or by the kernel that makes them (activations.h). A row of q and of bf16 is `cols`
// values, and one of groups is cols / 32; `cols` is that of the activations at hand.
struct Activations {
  const float* f32 = nullptr;
  int8_t* q = nullptr;
  float2* groups = nullptr;  // of 32 columns: the scale, and scale * the sum of q
  uint16_t* bf16 = nullptr;
  int cols = 0;
};

enum Forms : unsigned { kIntegers = 1, kBf16 = 2 };
unsigned forms_of(Type type);           // 0: the floats themselves
unsigned forms_of_all(unsigned types);  // of a bit for each Type

// ---- matmul.cu, matvec.cu, place.cu: weights ----

// Bytes of device memory that `host` takes once it is placed: planes aligned to 256 bytes.
size_t placed_bytes(const Matrix& host);
// Uploads `host` into `memory` in the layout that the kernels here read (format.h). The result's
// pointers are the device's. `staging`: staging_bytes() of device memory.
Matrix place(Device& device, const Matrix& host, void* memory, void* staging, size_t staging_bytes);

void prepare(const Queue& queue, const Activations& x, int n, unsigned forms);
// The parts' rows follow each other in y, whose rows lie y_stride floats apart. All parts have
// x.cols columns; their types may differ.
void multiply(const Queue& queue, float* y, std::span<const Matrix> parts, const Activations& x,
              int n, int y_stride);
void embed(const Queue& queue, float* y, const Matrix& w, const Token* tokens, int n);

// hidden [n, gate.rows] = silu(gate x) * (up x). `rounded` is hidden in its forms (cols =
// gate.rows): those that `forms` asks for are filled.
void gate_up(const Queue& queue, float* hidden, const Activations& rounded, unsigned forms,
             const Matrix& gate, const Matrix& up, const Activations& x, int n);

// ---- experts.cu ----

// The experts of a layer: all of the same shapes, of types that may differ.
struct ExpertTable {
  const FeedForward* experts = nullptr;  // [count], in device memory, of placed matrices
  int count = 0, dim = 0, hidden = 0;
  unsigned types = 0;       // bit Type: of gates and ups
  unsigned down_types = 0;  // of downs
};

// Memory for n tokens, in device memory; see expert_scratch_bytes().
size_t expert_scratch_bytes(const ExpertTable& table, int max_batch, int top_k);

// y [n, dim] += sum over each token's experts (-1: none) of weight * FeedForward(x).
void run_experts(const Queue& queue, float* y, const ExpertTable& table, const int* experts,
                 const float* weights, int top_k, const Activations& x, int n, void* scratch);

// ---- attention.cu, flash.cu, flash_simt.cu ----

// Bytes of scratch for attention() with heads of up to head_dim, whatever n and the cache. It is
// zeros before its first use and nobody else's: counters in it are zero again after each use.
size_t attention_scratch_bytes(int head_dim, int processors);
void attention(const Queue& queue, float* out, const float* q, const KvCache& cache, int n,
               int stride, int n_heads, Position position, void* scratch);

// ---- lightning.cu ----

size_t lightning_scratch_bytes(int n_heads, int head_dim, int max_batch);
void lightning(const Queue& queue, float* out, const float* q, const float* k, const float* v,
               const LinearState& state, int n, int stride, void* scratch);
void advance(const Queue& queue, const float* k, const float* v, const LinearState& state, int n,
             int stride);

// ---- norms.cu, elementwise.cu ----

// x += delta where there is one, then y = rmsnorm(x), also in the forms asked for.
void rmsnorm(const Queue& queue, float* y, float* x, const float* delta, const float* weight,
             const Activations& forms_of_y, unsigned forms, int n, int dim, float eps);
void layernorm(const Queue& queue, float* y, const float* x, const float* weight, const float* bias,
               const Activations& forms_of_y, unsigned forms, int n, int dim, float eps);
// Forms only where the groups' width is a multiple of 32.
void gated_group_norm(const Queue& queue, float* y, const float* x, const float* gate,
                      const float* weight, const Activations& forms_of_y, unsigned forms, int n,
                      int dim, int groups, float eps);

enum class Elementwise { add, scale, swiglu, silu, gelu };
void elementwise(const Queue& queue, Elementwise what, float* x, const float* y, int64_t size);

// ---- rope.cu ----

void norm_rope(const Queue& queue, float* x, const float* weight, int n, int stride, int n_heads,
               int head_dim, const Rope& rope, float eps, Position position);
void norm_rope_store(const Queue& queue, const KvCache& cache, float* qkv, const float* q_norm,
                     const float* k_norm, int n, int stride, int n_heads, const Rope& rope,
                     float eps, Position position);
void store(const Queue& queue, const KvCache& cache, const float* k, const float* v, int n,
           int stride, Position position);

// ---- route.cu ----

// From logits [n, n_experts]; the router's own matrix is not looked at.
void choose(const Queue& queue, int* experts, float* weights, const Router& router,
            const float* logits, int n, const int* features, int n_active, int first_featured);

// ---- snapshots.cu ----

void save_state(const Queue& queue, const Snapshots& to, const float* state, Position position);
void save_rows(const Queue& queue, const Snapshots& to, const KvCache& cache, int rows,
               Position position);
// Known on the host: going back is never recorded.
void load_rows(const Queue& queue, const Snapshots& from, const KvCache& cache, int rows, int first,
               int position);
// *base = position, and *base += n. What a kernel is given with its launch needs no copy that the
// host might have to wait for.
void move_to(const Queue& queue, int* base, int position);
void move(const Queue& queue, int* base, int n);

// ---- sample.cu ----

// In device memory, from one draw to the next.
struct DrawState {
  float temperature, top_p;
  unsigned long long seed;
  int drawn;
};
// Of some logits: the largest and its index, the sum of exp(logit - largest), and whether all are
// numbers (1). index -1: of none.
struct DrawPart {
  float top, sum;
  int index, finite;
};
constexpr int kMaxDrawParts = 128;

// logits [count] as Backend::mix says, with copied [n]. parts: as of draw().
void mix(const Queue& queue, float* logits, int count, DrawPart* parts, const Candidate* copied,
         int n, float share);
void begin_drawing(const Queue& queue, DrawState* state, DrawState first);
// choices [2], the host's: draw number n goes to n mod 2. parts: memory for kMaxDrawParts.
void draw(const Queue& queue, DrawState* state, Choice* choices, Token* next, DrawPart* parts,
          const float* logits, int count);

}  // namespace ringside::cuda
