// Weights of every type as floats, in portable C++: what a matrix holds.
#pragma once

#include "backend.h"

namespace ringside {

// y [cols]: row `row` of w.
void dequantize_row(float* y, const Matrix& w, int row);

}  // namespace ringside
