// Counts what operator new is asked for, so that a test can prove that nothing was.
#pragma once

#include <cstddef>

namespace ringside {

size_t allocations();  // since the program began, on all threads

}  // namespace ringside
