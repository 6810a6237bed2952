#include "features.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cstdint>
#include <initializer_list>
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace ringside {
namespace {

struct Leaf {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf) {
  Leaf r;
#ifdef _MSC_VER
  int registers[4];
  __cpuidex(registers, int(leaf), int(subleaf));
  r = {uint32_t(registers[0]), uint32_t(registers[1]), uint32_t(registers[2]),
       uint32_t(registers[3])};
#else
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
#endif
  return r;
}

// The register state that the operating system saves (XCR0); 0 if it says nothing.
uint64_t saved_state() {
  if ((cpuid(1, 0).c >> 27 & 1) == 0) return 0;
#ifdef _MSC_VER
  return _xgetbv(0);
#else
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
#endif
}

bool has_all(uint32_t word, std::initializer_list<int> bits) {
  for (const int bit : bits)
    if ((word >> bit & 1) == 0) return false;
  return true;
}

}  // namespace

bool has_avx2() {
  constexpr uint64_t kYmm = 0x6;
  if ((saved_state() & kYmm) != kYmm) return false;
  return has_all(cpuid(1, 0).c, {12 /* FMA */, 28 /* AVX */, 29 /* F16C */}) &&
         has_all(cpuid(7, 0).b, {5 /* AVX2 */});
}

#ifdef RINGSIDE_EMULATED_VNNI
bool has_avxvnni() { return has_avx2(); }
#else
bool has_avxvnni() { return has_avx2() && has_all(cpuid(7, 1).a, {4 /* AVX-VNNI */}); }
#endif

bool has_avx512() {
  constexpr uint64_t kZmm = 0xe6;
  if (!has_avx2() || (saved_state() & kZmm) != kZmm) return false;
  return has_all(cpuid(7, 0).b, {16 /* F */, 17 /* DQ */, 30 /* BW */, 31 /* VL */}) &&
         has_all(cpuid(7, 0).c, {11 /* VNNI */}) && has_all(cpuid(7, 1).a, {5 /* BF16 */});
}

}  // namespace ringside
#else
namespace ringside {
bool has_avx2() { return false; }
bool has_avxvnni() { return false; }
bool has_avx512() { return false; }
}  // namespace ringside
#endif
