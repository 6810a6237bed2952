// What one instruction set can do: a table of functions, chosen once. The files dot_* fill it in,
// each compiled with its own flags, so this header holds nothing that could be emitted into them.
#pragma once

#include <stdint.h>

#include "../type.h"

namespace ringside {

constexpr int kTile = 4;           // rows of x that share one unpacking of a weight row
constexpr int kRows = 32;          // queries that share the keys and values they read
constexpr int kPanelTokens = 256;  // rows of x that a panel meets at most
constexpr int kPanelsRows = 32;    // rows of weights that panels are made of at once, at most
constexpr float kUnseen = -1e30f;  // the score of a key that a query does not see

// One row of x as the weights of each type want it. Only what the type needs is set. Integers are
// read up to a multiple of 256 columns; behind the last one, scales and sums are 0.
struct Activations {
  const int8_t* q;       // [cols], for the block formats of GGUF
  const int8_t* paired;  // [cols], for int4: in each group of 32, the even columns before the odd
                         // ones, as packed weights fall apart into low and high halves
  const float* scales;   // [cols / 32, 8]: the group's scale, eight times
  const float* sums;     // [cols / 16]: scale * sum of q over half a group
  const float* group_scales;  // [cols / 32]: the group's scale
  const float* group_sums;    // [cols / 32]: scale * sum of q over a group
  const uint16_t* bf16;       // [cols], where Dot::takes_bf16; elsewhere
  const float* rounded;       // [cols]: the same values as floats
  const float* f32;           // [cols]
};

// Rows of a Matrix, of which each lies `bytes` behind the one before and its scales `scale_step`
// values: 0 where all share them.
struct Rows {
  Type type;
  int count, cols;
  int group;  // int4, f8: columns that share a scale
  const uint8_t* data;
  int64_t bytes;
  const void* scales;  // int4: float16 [.., cols / group]; f8: float [.., cols / group, rounded up]
  const uint8_t* zeros;  // int4: as scales; null: 8
  int64_t scale_step;
};

// Dot::rows for many rows of x, `least` or more: w.count <= kPanelsRows, count <= kPanelTokens.
// Sums are rounded in another order. `rows` is what a panel has, whether used or not; 0: there is
// none.
struct Panels {
  int rows, least;
  void (*run)(float* out, int64_t out_stride, const Rows& w, const Activations* x, int count);
};

struct Dot {
  const char* name;
  bool takes_bf16;  // as Activations::bf16

  // out[i * out_stride + r] = w_r . x[i], for r < w.count, i < count <= kTile.
  void (*rows)(float* out, int64_t out_stride, const Rows& w, const Activations* x, int count);
  Panels integers, floats;  // of int4 and the block formats; of the others
  // Fills q [32], scales [8] and sums [2] from the group x [32]; q in the order of
  // Activations::paired if that is asked.
  void (*quantize)(int8_t* q, float* scales, float* sums, const float* x, bool paired);
  // scores[j] = scale * q . k_j, for j < count; k_j = k + j * stride.
  void (*scores)(float* scores, const float* q, const float* k, int64_t stride, int count, int dim,
                 float scale);
  // out += sum over j < count of weights[j] * v_j.
  void (*mix)(float* out, const float* weights, const float* v, int64_t stride, int count, int dim);
  // x = exp(x - top), returns the sum. Relative error below 2e-7 for x - top in -87 .. 0.
  float (*exp_sum)(float* x, int count, float top);

  // Tiles of up to kRows rows. Where a tile has fewer, the rest of an array of kRows is computed
  // upon but means nothing; it must hold finite numbers.
  //
  // scores[j, r] = column r . k_j for j < count, r < rows; scores [count, kRows], columns [dim,
  // kRows].
  void (*score_tile)(float* scores, const float* columns, int rows, const float* k, int64_t stride,
                     int count, int dim);
  // Online softmax: scores become weights exp(score - top), those of keys j < first[r] or >= end[r]
  // 0. top (kUnseen before the first keys) and total [kRows] are brought up to date; factors
  // [kRows] is what sums made under the old top must be multiplied by.
  void (*softmax_tile)(float* scores, int count, const int* first, const int* end, float* top,
                       float* total, float* factors);
  // out[r] = factors[r] * out[r] + sum over j < count of weights[j * weights_stride + r] * v_j.
  void (*mix_tile)(float* const* out, const float* factors, int rows, const float* weights,
                   int64_t weights_stride, const float* v, int64_t stride, int count, int dim);
  // x = silu(x) * factor; factor null: 1.
  void (*silu)(float* x, const float* factor, int64_t count);
  void (*gelu)(float* x, int64_t count);

  // scores and mix of keys and values in float16, which sums meet as floats.
  void (*scores_f16)(float* scores, const float* q, const uint16_t* k, int64_t stride, int count,
                     int dim, float scale);
  void (*mix_f16)(float* out, const float* weights, const uint16_t* v, int64_t stride, int count,
                  int dim);
  // y [count, dim] = rows of float16 that lie `stride` values apart.
  void (*widen)(float* y, const uint16_t* x, int64_t stride, int count, int dim);
  // y = x in float16, rounded as KvCache says.
  void (*narrow)(uint16_t* y, const float* x, int64_t count);
};

// Dot::rows and Dot::integers of weights that meet int8: int4 and the block formats. In
// dot_*_blocks.cpp.
void integer_rows_avx2(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                       int count);
void integer_rows_avxvnni(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                          int count);
void integer_rows_avx512(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                         int count);
void integer_panel_avx2(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                        int count);
void integer_panel_avxvnni(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                           int count);
void integer_panel_avx512(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                          int count);
void integer_rows_neon(float* out, int64_t out_stride, const Rows& w, const Activations* x,
                       int count);

// Null where the build is for another processor. Whether the machine has it is asked at run time.
const Dot* dot_avx2();
const Dot* dot_avxvnni();  // AVX2's but for integers
const Dot* dot_avx512();
const Dot* dot_neon();

}  // namespace ringside
