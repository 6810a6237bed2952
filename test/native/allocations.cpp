#include "allocations.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<size_t> count = 0, bytes = 0;

#ifdef _WIN32  // has no aligned_alloc, because its free() could not take such memory back
void* allocate(size_t align, size_t whole) { return _aligned_malloc(whole, align); }
void free_aligned(void* memory) { _aligned_free(memory); }
#else
void* allocate(size_t align, size_t whole) { return std::aligned_alloc(align, whole); }
void free_aligned(void* memory) { std::free(memory); }
#endif
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
  if (void* memory = allocate(align, whole)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory, std::align_val_t) noexcept { free_aligned(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ringside {
size_t allocations() { return count; }
size_t allocated_bytes() { return bytes; }
}  // namespace ringside
