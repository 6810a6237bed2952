// For another platform, in place of gpu.cpp: the emulated library is this one's. On Windows it
// could not be: it switches between threads as POSIX alone can.
#include "gpu.h"

namespace ringside {

TestedBackends::TestedBackends(const std::string& name) : host(make_backend(name, 1)) {}

std::vector<std::string> tested_backends() { return available_backends(); }

bool has_gpu() { return false; }
bool gpu_is_emulated() { return false; }

}  // namespace ringside
