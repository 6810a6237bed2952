#include "allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<size_t> count = 0, bytes = 0;
}  // namespace

void* operator new(size_t size) {
  count++;
  bytes += size;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ringside {
size_t allocations() { return count; }
size_t allocated_bytes() { return bytes; }
}  // namespace ringside
