// Counts what operator new is asked for, so that a test can prove that nothing was, or how much.
#pragma once

#include <cstddef>

namespace ringside {

// Since the program began, on all threads; what was freed counts too.
size_t allocations();
size_t allocated_bytes();

}  // namespace ringside
