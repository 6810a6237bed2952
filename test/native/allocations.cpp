#include "allocations.h"

#include <algorithm>
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
void* operator new(size_t size, std::align_val_t alignment) {
  count++;
  bytes += size;
  const auto align = size_t(alignment);
  const size_t whole = (std::max<size_t>(size, 1) + align - 1) / align * align;
  if (void* memory = std::aligned_alloc(align, whole)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ringside {
size_t allocations() { return count; }
size_t allocated_bytes() { return bytes; }
}  // namespace ringside
