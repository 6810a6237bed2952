#include "emulator.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>

#include "gpu.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Saves the callee's registers on this stack and its pointer in *from, and goes on with stack `to`.
extern "C" void ringside_switch_stack(void** from, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.globl ringside_switch_stack
.type ringside_switch_stack, @function
ringside_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ringside_switch_stack, .-ringside_switch_stack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl ringside_switch_stack
.type ringside_switch_stack, %function
ringside_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size ringside_switch_stack, .-ringside_switch_stack
)");
#else
#error "The emulator runs on x86-64 and 64-bit Arm with the System V calling convention."
#endif

namespace ringside::emulator {

Index thread_index, block_index, block_size, grid_size;

namespace {

constexpr size_t kStackBytes = 256 << 10;  // AddressSanitizer's frames are large
constexpr size_t kMaxThreads = 1024;

// Copies that were begun and not waited for, of one thread.
struct Copy {
  void* shared;
  const void* global;
  bool valid;
};

struct Fiber {
  std::unique_ptr<unsigned char[]> stack;
  void* pointer = nullptr;  // of the stack, while it does not run
  void* fake_stack = nullptr;
  Index index;
  bool done = false;
  // It waits while *waits_for == seen.
  const unsigned* waits_for = nullptr;
  unsigned seen = 0;
  std::vector<std::vector<Copy>> groups;  // of copies; the last one is open

  bool ready() const { return !done && (waits_for == nullptr || *waits_for != seen); }
};

// What the lanes of a warp give each other. Two buffers, so that a lane may go on to the next
// exchange while others still read this one.
struct Warp {
  std::array<std::array<unsigned char, 32 * kMaxExchange>, 2> buffers;
  unsigned generation = 0;
  unsigned arrived = 0;  // bits
  unsigned live = 0;     // bits
  size_t size = 0;       // of a value
};

struct Block {
  const char* name = "";
  const std::function<void()>* body = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  size_t threads = 0;
  Fiber* current = nullptr;
  void* scheduler = nullptr;  // its stack
  void* scheduler_fake_stack = nullptr;
  const void* scheduler_bottom = nullptr;
  size_t scheduler_size = 0;
  unsigned barrier_generation = 0;
  size_t at_barrier = 0, live = 0;
  std::unique_ptr<unsigned char[]> shared;
};

Block block;
std::mutex one_grid;
unsigned order = 0;

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "emulator: %s: %s (block %u %u %u, thread %u)\n", block.name, what, block_index.x,
          block_index.y, block_index.z, thread_index.x);
  abort();
}

void start_switch([[maybe_unused]] void** save, [[maybe_unused]] const void* bottom,
                  [[maybe_unused]] size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(save, bottom, size);
#endif
}
void finish_switch([[maybe_unused]] void* fake, [[maybe_unused]] const void** bottom,
                   [[maybe_unused]] size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, bottom, size);
#endif
}

// From a fiber back to the scheduler.
void yield() {
  Fiber& fiber = *block.current;
  start_switch(fiber.done ? nullptr : &fiber.fake_stack, block.scheduler_bottom,
               block.scheduler_size);
  ringside_switch_stack(&fiber.pointer, block.scheduler);
  finish_switch(fiber.fake_stack, nullptr, nullptr);
}

void wait_while(const unsigned& generation, unsigned seen) {
  block.current->waits_for = &generation;
  block.current->seen = seen;
  while (generation == seen) yield();
  block.current->waits_for = nullptr;
}

void complete_barrier() {
  if (block.live == 0 || block.at_barrier < block.live) return;
  block.at_barrier = 0;
  block.barrier_generation++;
}

void complete_exchange(Warp& warp) {
  if (warp.live == 0 || warp.arrived != warp.live) return;
  warp.arrived = 0;
  warp.generation++;
}

Warp& warp_of_current() { return block.warps[thread_index.x / 32]; }

[[noreturn]] void enter() {
  finish_switch(nullptr, &block.scheduler_bottom, &block.scheduler_size);
  (*block.body)();
  Fiber& fiber = *block.current;
  fiber.done = true;
  block.live--;
  Warp& warp = warp_of_current();
  warp.live &= ~(1u << (thread_index.x % 32));
  complete_barrier();  // threads that have returned are not waited for
  complete_exchange(warp);
  yield();
  fail("a thread that has ended was run again");
}

void prepare(Fiber& fiber, size_t index) {
  if (!fiber.stack) fiber.stack = std::make_unique<unsigned char[]>(kStackBytes);
  fiber.index = {unsigned(index), 0, 0};
  fiber.done = false;
  fiber.waits_for = nullptr;
  fiber.groups.assign(1, {});
  // As ringside_switch_stack left it: registers, then the address to return to.
  auto* top = reinterpret_cast<uintptr_t*>(fiber.stack.get() + kStackBytes);
#if defined(__x86_64__)
  top = reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
  *--top = 0;  // so that the stack is aligned as after a call
  *--top = reinterpret_cast<uintptr_t>(&enter);
  for (int i = 0; i < 6; i++) *--top = 0;
#else
  top = reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15)) - 20;
  std::fill_n(top, 20, uintptr_t(0));
  top[11] = reinterpret_cast<uintptr_t>(&enter);  // x30
#endif
  fiber.pointer = top;
}

void resume(Fiber& fiber) {
  block.current = &fiber;
  thread_index = fiber.index;
  start_switch(&block.scheduler_fake_stack, fiber.stack.get(), kStackBytes);
  ringside_switch_stack(&block.scheduler, fiber.pointer);
  finish_switch(block.scheduler_fake_stack, nullptr, nullptr);
}

void run_block(const std::vector<size_t>& turns) {
  block.live = block.threads;
  block.at_barrier = 0;
  for (size_t w = 0; w < block.warps.size(); w++) {
    Warp& warp = block.warps[w];
    const size_t lanes = std::min<size_t>(32, block.threads - 32 * w);
    warp.live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warp.arrived = 0;
  }
  for (size_t i = 0; i < block.threads; i++) prepare(block.fibers[i], i);
  while (block.live > 0) {
    bool moved = false;
    for (const size_t i : turns) {
      if (!block.fibers[i].ready()) continue;
      moved = true;
      resume(block.fibers[i]);
    }
    if (!moved) fail("threads wait for others that never come");
  }
}

}  // namespace

void set_order(unsigned seed) { order = seed; }

void run(const char* name, int64_t x, int64_t y, int64_t z, int threads, size_t shared,
         const std::function<void()>& body) {
  const std::lock_guard lock(one_grid);
  block.name = name;
  if (x < 1 || y < 1 || z < 1 || x > INT32_MAX || y > 65535 || z > 65535) fail("no such grid");
  if (threads < 1 || size_t(threads) > kMaxThreads) fail("no such block");
  if (shared > 227 * 1024) fail("more shared memory than a device has");
  block.body = &body;
  block.threads = size_t(threads);
  if (block.fibers.size() < block.threads) block.fibers.resize(block.threads);
  block.warps.resize((block.threads + 31) / 32);
  block.shared = std::make_unique_for_overwrite<unsigned char[]>(shared);
  block_size = {unsigned(threads), 1, 1};
  grid_size = {unsigned(x), unsigned(y), unsigned(z)};

  std::vector<size_t> turns(block.threads);
  std::iota(turns.begin(), turns.end(), size_t(0));
  if (order == 1) std::reverse(turns.begin(), turns.end());
  if (order > 1) std::shuffle(turns.begin(), turns.end(), std::mt19937(order));
  for (unsigned k = 0; k < unsigned(z); k++)
    for (unsigned j = 0; j < unsigned(y); j++)
      for (unsigned i = 0; i < unsigned(x); i++) {
        block_index = {i, j, k};
        memset(block.shared.get(), 0xff, shared);  // NaN
        run_block(turns);
      }
}

void* dynamic_shared() { return block.shared.get(); }

void barrier() {
  const unsigned seen = block.barrier_generation;
  block.at_barrier++;
  complete_barrier();
  wait_while(block.barrier_generation, seen);
}

const unsigned char* exchange(const void* value, size_t size) {
  if (size > kMaxExchange) fail("a collective of too large a value");
  Warp& warp = warp_of_current();
  const unsigned seen = warp.generation, lane = thread_index.x % 32;
  if (warp.arrived != 0 && warp.size != size) fail("lanes meet in different collectives");
  warp.size = size;
  auto& buffer = warp.buffers[seen % 2];
  memcpy(buffer.data() + lane * size, value, size);
  warp.arrived |= 1u << lane;
  complete_exchange(warp);
  wait_while(warp.generation, seen);
  return buffer.data();
}

void begin_copy(void* shared, const void* global, bool valid) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) fail("a copy to an odd address");
  if (valid && reinterpret_cast<uintptr_t>(global) % 16 != 0) fail("a copy from an odd address");
  block.current->groups.back().push_back({shared, global, valid});
}

void commit_copies() { block.current->groups.emplace_back(); }

void wait_copies(int pending) {
  auto& groups = block.current->groups;
  while (int(groups.size()) - 1 > pending) {
    for (const Copy& copy : groups.front()) {
      if (copy.valid) {
        memcpy(copy.shared, copy.global, 16);
      } else {
        memset(copy.shared, 0, 16);
      }
    }
    groups.erase(groups.begin());
  }
}

}  // namespace ringside::emulator

namespace ringside {

namespace {

// A lane's part of both factors; all 32 lanes' are exchanged.
struct Fragments {
  uint32_t a[4], b[2];
};

// Tensor cores add the products of some columns to a sum at once, and cut off what falls below its
// last bit: Fasi et al. 2021, doi.org/10.7717/peerj-cs.330, who find four columns of TF32 and eight
// of bfloat16 on Ampere, which is what a register of each of four lanes holds.
float cut_off(double sum) {
  const float nearest = float(sum);
  return fabs(double(nearest)) > fabs(sum) ? nextafterf(nearest, 0.0f) : nearest;
}
int cut_off(int sum) { return sum; }

// d of this lane: value(row, column, k) summed over the lanes that hold it. `multiply(sum,
// register of a, register of b)` adds the products of the values in one register.
template <typename Wide, typename Sum, typename Multiply>
void multiply_fragments(Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                        Multiply multiply) {
  Fragments mine;
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  const unsigned char* bytes = emulator::exchange(&mine, sizeof mine);
  Fragments all[32];
  memcpy(all, bytes, sizeof all);
  const int g = int(threadIdx.x % 32) / 4, t = int(threadIdx.x % 32) % 4;
  for (int i = 0; i < 4; i++) {
    const int column = 2 * t + i % 2, below = i / 2;  // rows g and g + 8
    for (int half = 0; half < 2; half++) {            // of the columns of a
      Wide sum = d[i];
      for (int s = 0; s < 4; s++)
        multiply(sum, all[4 * g + s].a[2 * half + below], all[4 * column + s].b[half]);
      d[i] = cut_off(sum);
    }
  }
}

}  // namespace

void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  multiply_fragments<int>(d, a, b,
                          [](int& sum, uint32_t x, uint32_t y) { sum = dot_s8(x, y, sum); });
}

void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  multiply_fragments<double>(d, a, b, [](double& sum, uint32_t x, uint32_t y) {
    sum += double(bits_to_float(x << 16)) * bits_to_float(y << 16);
    sum += double(bits_to_float(x & 0xffff0000u)) * bits_to_float(y & 0xffff0000u);
  });
}

void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  constexpr uint32_t kKept = 0xffffe000u;
  multiply_fragments<double>(d, a, b, [](double& sum, uint32_t x, uint32_t y) {
    sum += double(bits_to_float(x & kKept)) * bits_to_float(y & kKept);
  });
}

namespace {

// Rows of the four matrices, as the lanes' addresses name them.
void exchange_rows(unsigned char (&rows)[32][16], const void* row) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) __builtin_trap();
  unsigned char mine[16];
  memcpy(mine, row, 16);
  memcpy(rows, emulator::exchange(mine, 16), sizeof rows);
}

}  // namespace

void load_matrices(uint32_t (&r)[4], const void* row) {
  unsigned char rows[32][16];
  exchange_rows(rows, row);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned i = 0; i < 4; i++) memcpy(&r[i], &rows[8 * i + lane / 4][lane % 4 * 4], 4);
}

void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  unsigned char rows[32][16];
  exchange_rows(rows, row);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned i = 0; i < 4; i++) {
    uint16_t low, high;
    memcpy(&low, &rows[8 * i + lane % 4 * 2][lane / 4 * 2], 2);
    memcpy(&high, &rows[8 * i + lane % 4 * 2 + 1][lane / 4 * 2], 2);
    r[i] = uint32_t(low) | uint32_t(high) << 16;
  }
}

}  // namespace ringside
