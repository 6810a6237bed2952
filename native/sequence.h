// What the model has read so far: the tokens, and what every layer keeps of them.
//
// Invariant: all layers stand at position size(), unless forget() says that they don't. Ring layers
// hold the rows of ring_begin_ .. size()-1 (and of the sinks), lightning layers a state, and their
// log the (k, v) of log_begin_ .. size()-1. Everything is allocated when the sequence is made.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend.h"
#include "buffer.h"
#include "checkpoint.h"
#include "config.h"
#include "placement.h"

namespace ringside {

// The syntax features of the cursor, and the first position that takes them.
struct Syntax {
  int from = 0;
  std::vector<int> features;  // sorted, each once; empty: no position takes any
};

class Sequence {
 public:
  // `checkpoint_every`: positions between checkpoints.
  Sequence(const Config& config, const Placement& placement, int capacity,
           int checkpoint_every = Checkpoints::kEvery);
  ~Sequence();
  Sequence(const Sequence&) = delete;  // the layers point into memory_
  Sequence& operator=(const Sequence&) = delete;

  std::span<const Token> tokens() const { return tokens_; }
  size_t size() const { return tokens_.size(); }
  size_t capacity() const { return capacity_; }
  // What layer `l` of a sequence of `capacity` positions takes, in bytes.
  static size_t bytes_for(const Config& config, int l, int capacity, int checkpoint_every);
  // Of all sequences there have been, this one's number.
  uint64_t number() const { return number_; }

  // How many of the first tokens of `prompt` were read already, as a request with `syntax` reads
  // them.
  size_t common_prefix(std::span<const Token> prompt, const Syntax& syntax) const;

  // Forgets the tokens from `size` on, or from the last checkpoint before it if what is held does
  // not reach back to `size` exactly. Runs no layer. Returns how many tokens are left, at most
  // `size`.
  size_t truncate(size_t size);

  // For when a pass has failed, and some layers may stand behind others: forgets all tokens. Asks
  // nothing of a backend, which may fail again; the next truncate() does, and must come before
  // anything is read.
  void forget() noexcept;

  // Keeps what going back to this size, or to one soon behind it, needs: it is then cheap, and
  // exact within the model's longest batch. Until the next mark.
  void mark();

  // What tokens read from now on take. Tokens beyond syntax.from must not have been read yet.
  void set_syntax(const Syntax& syntax);
  const Syntax& syntax() const { return syntax_; }

 private:
  friend class Model;  // only its passes append
  friend class Decoder;

  // One layer's memory; a ring layer uses kv, a lightning layer the rest.
  struct Layer {
    bool lightning = false;
    KvCache kv;
    LinearState state;
    float* marked = nullptr;  // the state at mark_
    // Of the last k and v: position p in row p mod log_slots. In f32 whatever kv is: they are read
    // into a state again, which would keep their rounding.
    KvCache log;
    Buffer<float> decay;

    size_t state_bytes() const {
      return size_t(state.n_heads) * size_t(state.head_dim) * size_t(state.head_dim) *
             sizeof(float);
    }
  };

  // For the forward pass, while the tokens are not appended yet.
  const KvCache& kv(int layer) const { return layers_[size_t(layer)].kv; }
  const LinearState& state(int layer) const { return layers_[size_t(layer)].state; }
  // Where a lightning layer's k and v are kept for going back.
  const KvCache& log(int layer) const { return layers_[size_t(layer)].log; }
  // The layer's state has read 0 .. position-1: keeps it if a checkpoint is due there.
  void save_state(int layer, int position) {
    checkpoints_.save_state(layer, position, state(layer));
  }
  // The first position behind `position` where a checkpoint is due.
  int next_checkpoint(int position) const { return checkpoints_.after(position); }
  // The ring has stored positions position .. position+n-1: keeps the rows of checkpoints passed.
  void save_rows(int layer, int position, int n);
  void append(std::span<const Token> tokens);

  struct Sizes;
  void allocate(const Config& config, const Sizes& sizes);
  void allocate_lightning(const Config& config, const Sizes& sizes, int l, float* memory);
  // The nearest position at or before `size` whose states are kept.
  int base_of(int size) const;
  bool reaches(int size) const;
  void go_back_to_checkpoint(int position);
  void rebuild_states(int from, int to);

  Placement placement_;
  uint64_t number_;
  size_t capacity_;
  int slots_;  // of a softmax layer: the ring's, or the capacity
  int reach_;  // positions before p that a ring layer looks at; 0 without rings
  int log_slots_;
  int ring_begin_ = 0;
  int log_begin_ = 0;
  int mark_ = -1;           // the position of mark(); -1: none that still holds
  bool has_rings_ = false;  // that wrap
  bool has_lightning_ = false;
  bool forgotten_ = false;  // the layers do not stand at 0 yet
  std::vector<Token> tokens_;
  Syntax syntax_;
  std::vector<Layer> layers_;
  Checkpoints checkpoints_;
  std::vector<Buffer<std::byte>> memory_;  // of the layers; one a backend
};

}  // namespace ringside
