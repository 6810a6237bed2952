// What the processor and the operating system can do.
#pragma once

namespace ringside {

bool has_avx2();     // AVX2, FMA and F16C
bool has_avxvnni();  // those, and AVX-VNNI
bool has_avx512();   // F, BW, VL, DQ, VNNI and BF16

}  // namespace ringside
