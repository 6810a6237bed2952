// In which order the threads of a block take turns: the emulator can be told, a GPU can't.
#pragma once

#if defined(RINGSIDE_EMULATED)
#include "emulator.h"
#else
namespace ringside::emulator {
inline void set_order(unsigned) {}
}  // namespace ringside::emulator
#endif
