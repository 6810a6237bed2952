// A tile of a matrix product: its part of the weights and of the activations passes through shared
// memory, step by step, in a form that tensor cores take.
//
// A step is `kPieces` pieces of 32 bytes of each row: 32 columns of int8, 16 of bfloat16 or 8 of
// float, which is what one instruction multiplies (tile_sums.h). Weights go through registers,
// where they are unpacked, so the next step's are loaded while this one's are multiplied;
// activations are copied in the background.
#pragma once

#include "activations.h"
#include "format.h"
#include "work.h"

namespace ringside::cuda {

// What a block multiplies: rows row .. of w with so many tokens from `first` on, which are rows of
// x by that number, or where there is a list, by what it holds divided by top_k. It lies at the
// start of shared memory, so that it takes no registers from the sums.
struct TileTask {
  Matrix w;
  int64_t y;  // where the result of row 0 and the first token goes
  const int* places;
  int row, first, count, top_k;

  __device__ int source(int token) const {  // -1: none
    if (token >= count) return -1;
    return places == nullptr ? first + token : places[first + token] / top_k;
  }
};
constexpr int kTaskBytes = 128;
static_assert(sizeof(TileTask) <= kTaskBytes);

// kRowWarps x kTokenWarps x kDepth warps; those that differ in depth only share a tile of the
// result and divide the pieces of a step.
template <int kTheRows, int kTheTokens, int kTheRowWarps, int kTheTokenWarps, int kTheDepth>
struct Shape {
  static constexpr int kRows = kTheRows, kTokens = kTheTokens;
  static constexpr int kRowWarps = kTheRowWarps, kTokenWarps = kTheTokenWarps, kDepth = kTheDepth;
  static constexpr int kThreads = kRowWarps * kTokenWarps * kDepth * kWarp;
  static constexpr int kPieces = 2 * kDepth;
  // 16 bytes more than a step: then eight rows, 16 bytes of each, lie in different banks.
  static constexpr int kStride = 32 * kPieces + 16;
  static constexpr int kScales = (kRows + kTokens) * kPieces;
  static constexpr int kBufferBytes = (kRows + kTokens) * kStride + kScales * int(sizeof(float2));
  static constexpr size_t kShared = kTaskBytes + 2 * kBufferBytes;
};

// One of two buffers: rows of weights, rows of activations, and the scales of their pieces.
template <typename S>
struct Buffer {
  uint8_t *weights, *tokens;
  float2 *row_scales, *token_scales;  // [kPieces][kRows], [kPieces][kTokens]

  __device__ explicit Buffer(int which) {
    weights = shared_memory<uint8_t>() + kTaskBytes + which * S::kBufferBytes;
    tokens = weights + S::kRows * S::kStride;
    row_scales = reinterpret_cast<float2*>(tokens + S::kTokens * S::kStride);
    token_scales = row_scales + S::kPieces * S::kRows;
  }
};

// How a type's values are multiplied, and columns of a piece.
enum class Kind { integers, bf16, floats };
__host__ __device__ constexpr Kind kind_of(Type type) {
  if (is_integer(type)) return Kind::integers;
  return type == Type::bf16 || type == Type::f8 ? Kind::bf16 : Kind::floats;
}
template <Type kType>
constexpr int kPieceCols = is_integer(kType)              ? 32
                           : kind_of(kType) == Kind::bf16 ? 16
                                                          : 8;

__device__ inline void take_words(Raw& raw, int at, const uint4& bits) {
  raw.word[at] = bits.x, raw.word[at + 1] = bits.y;
  raw.word[at + 2] = bits.z, raw.word[at + 3] = bits.w;
}

// Eight columns of a matrix of any floats from c on; zeros beyond the end.
__device__ inline void load_eight(Raw& raw, const Matrix& w, int row, int c) {
  const int64_t at = int64_t(row) * w.cols + c;
  if (w.type == Type::f32 && w.cols % 4 == 0) {
    const auto* data = static_cast<const float*>(w.data) + at;
    take_words(raw, 0, load_streaming(data));
    const bool more = c + 4 < w.cols;
    take_words(raw, 4, more ? load_streaming(data + 4) : make_uint4(0u, 0u, 0u, 0u));
  } else {
    RINGSIDE_UNROLL
    for (int i = 0; i < 8; i++)
      raw.word[i] = c + i < w.cols ? float_to_bits(float_at(w, row, c + i)) : 0u;
  }
}

// A thread's pieces of the weights.
template <Type kType, typename S>
class WeightLoader {
 public:
  __device__ explicit WeightLoader(const TileTask& task) : w_(task.w) {
    pieces_ = (w_.cols + kPieceCols<kType> - 1) / kPieceCols<kType>;
    RINGSIDE_UNROLL
    for (int i = 0; i < kEach; i++) {
      const int row = task.row + row_of(i);
      row_[i] = row < w_.rows ? row : w_.rows - 1;
      if constexpr (is_integer(kType)) planes_[i] = row_planes(kType, w_, row_[i]);
    }
  }

  __device__ int steps() const { return (pieces_ + S::kPieces - 1) / S::kPieces; }

  // Begins to load a step.
  __device__ void load(int step) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kEach; i++) {
      const int p = step * S::kPieces + piece_of(i);
      if (p >= pieces_ || row_of(i) >= S::kRows) continue;
      if constexpr (is_integer(kType)) {
        load_group<kType>(raw_[i], planes_[i], p);
      } else if constexpr (kType == Type::f32) {
        load_eight(raw_[i], w_, row_[i], p * 8);
      } else {
        load_bits(raw_[i], row_[i], p * kPieceCols<kType>);
      }
    }
  }

  // Unpacks the step that was loaded.
  __device__ void store(const Buffer<S>& buffer, int step) const {
    RINGSIDE_UNROLL
    for (int i = 0; i < kEach; i++) {
      const int p = step * S::kPieces + piece_of(i);
      if (row_of(i) >= S::kRows) continue;
      uint32_t words[8] = {};
      float2 scales = make_float2(0.0f, 0.0f);
      if (p < pieces_) unpack(words, scales, raw_[i], p);
      auto* to =
          reinterpret_cast<uint4*>(buffer.weights + row_of(i) * S::kStride + piece_of(i) * 32);
      to[0] = make_uint4(words[0], words[1], words[2], words[3]);
      to[1] = make_uint4(words[4], words[5], words[6], words[7]);
      buffer.row_scales[piece_of(i) * S::kRows + row_of(i)] = scales;
    }
  }

 private:
  static constexpr int kEach = (S::kRows * S::kPieces + S::kThreads - 1) / S::kThreads;

  __device__ static int row_of(int i) { return (int(threadIdx.x) + i * S::kThreads) / S::kPieces; }
  __device__ static int piece_of(int i) {
    return (int(threadIdx.x) + i * S::kThreads) % S::kPieces;
  }

  // The 16 columns of bf16 or f8, or the 8 of f16.
  __device__ void load_bits(Raw& raw, int row, int c) const {
    const int64_t at = int64_t(row) * w_.cols + c;
    const auto* data = static_cast<const uint8_t*>(w_.data) + at * (kType == Type::f8 ? 1 : 2);
    take_words(raw, 0, load_streaming(data));
    if constexpr (kType == Type::bf16) take_words(raw, 4, load_streaming(data + 16));
    if constexpr (kType == Type::f8) {
      const F8Scales scales = f8_scales(w_, row);
      raw.word[8] = float_to_bits(scales.row[quotient(c, scales.inverse)]);
    }
  }

  __device__ static void unpack(uint32_t (&words)[8], float2& scales, const Raw& raw, int p) {
    if constexpr (is_integer(kType)) {
      unpack_group<kType>(words, raw);
      center_group<kType>(words, raw);  // once for all tokens, where a minimum is added for each
      scales = scales_of<kType>(raw, p);
    } else {
      RINGSIDE_UNROLL
      for (int k = 0; k < 8; k++) {
        const uint32_t two = raw.word[k / 2] >> (k % 2 * 16);
        if constexpr (kType == Type::f16) {
          words[k] = float_to_bits(half_bits_to_float(uint16_t(two)));
        } else if constexpr (kType == Type::f8) {  // exact in bfloat16: the upper half of a float
          words[k] = float_to_bits(f8_bits_to_float(uint8_t(two))) >> 16 |
                     (float_to_bits(f8_bits_to_float(uint8_t(two >> 8))) & 0xffff0000u);
        } else {
          words[k] = raw.word[k];
        }
      }
    }
    if constexpr (kType == Type::f8) scales.x = bits_to_float(raw.word[8]);
  }

  const Matrix& w_;
  int pieces_;
  int row_[kEach];
  RowPlanes planes_[kEach];
  Raw raw_[kEach];
};

// A thread's part of the activations.
template <Type kType, typename S>
class TokenLoader {
 public:
  __device__ TokenLoader(const TileTask& task, const Activations& x) : x_(x), type_(task.w.type) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kCopies; i++) source_[i] = task.source(id(i) / kChunks);
    RINGSIDE_UNROLL
    for (int i = 0; i < kScales; i++) scale_source_[i] = task.source(id(i) / S::kPieces);
  }

  // Begins to load a step; its copies go to `buffer`.
  __device__ void load(const Buffer<S>& buffer, int step) {
    constexpr int kCols = kPieceCols<kType> / 2;  // of a chunk
    RINGSIDE_UNROLL
    for (int i = 0; i < kCopies; i++) {
      const int token = id(i) / kChunks, chunk = id(i) % kChunks;
      const int c = (step * kChunks + chunk) * kCols;
      const bool valid = source_[i] >= 0 && c < x_.cols;
      const int64_t at = valid ? int64_t(source_[i]) * x_.cols + c : 0;
      uint8_t* to = buffer.tokens + token * S::kStride + chunk * 16;
      if constexpr (is_integer(kType)) {
        copy_async16(to, x_.q + at, valid);
      } else if constexpr (kind_of(kType) == Kind::bf16) {
        copy_async16(to, x_.bf16 + at, valid);
      } else if (!is_narrow() && x_.cols % 4 == 0) {
        copy_async16(to, x_.f32 + at, valid);
      } else {
        auto* four = reinterpret_cast<float*>(to);
        RINGSIDE_UNROLL
        for (int j = 0; j < 4; j++)
          four[j] = valid && c + j < x_.cols ? activation_at(type_, x_, at + j) : 0.0f;
      }
    }
    commit_copies();
    if constexpr (is_integer(kType)) {
      const int groups = x_.cols / kGroup;
      RINGSIDE_UNROLL
      for (int i = 0; i < kScales; i++) {
        const int p = step * S::kPieces + id(i) % S::kPieces;
        const bool valid = scale_source_[i] >= 0 && p < groups;
        scale_[i] =
            valid ? x_.groups[int64_t(scale_source_[i]) * groups + p] : make_float2(0.0f, 0.0f);
      }
    }
  }

  // The rest of the step that was loaded. The copies have still to be waited for.
  __device__ void store(const Buffer<S>& buffer) const {
    if constexpr (is_integer(kType)) {
      RINGSIDE_UNROLL
      for (int i = 0; i < kScales; i++)
        buffer.token_scales[id(i) % S::kPieces * S::kTokens + id(i) / S::kPieces] = scale_[i];
    }
  }

 private:
  static constexpr int kChunks = 2 * S::kPieces;  // of 16 bytes, a row
  static constexpr int kCopies = S::kTokens * kChunks / S::kThreads;
  static constexpr int kScales = S::kTokens * S::kPieces / S::kThreads;

  __device__ static int id(int i) { return int(threadIdx.x) + i * S::kThreads; }
  __device__ bool is_narrow() const { return type_ == Type::f8 || type_ == Type::bf16; }

  const Activations& x_;
  Type type_;
  int source_[kCopies], scale_source_[kScales];
  float2 scale_[kScales];
};

}  // namespace ringside::cuda
