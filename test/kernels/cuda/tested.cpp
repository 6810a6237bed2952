// The CUDA backend under the tests of every backend, with and without tensor cores.
#include "../mirrored.h"
#include "cuda_backend.h"
#include "support.h"

namespace ringside {

namespace {

struct Mode {
  const char* name;
  bool mma;
};
constexpr Mode kModes[] = {{"cuda", true}, {"cuda without tensor cores", false}};

}  // namespace

std::vector<std::string> tested_backends() {
  std::vector<std::string> names;
  for (const Mode& mode : kModes) names.emplace_back(mode.name);
  names.emplace_back("reference");
  return names;
}

std::unique_ptr<Backend> make_tested(std::string_view name, int threads) {
  for (const Mode& mode : kModes) {
    if (name != mode.name) continue;
    auto device = std::make_unique<cuda::Cuda>(0);
    device->device().queue().set_mma(mode.mma);
    return std::make_unique<Mirrored>(std::move(device), mode.name);
  }
  return make_backend(name, threads);
}

}  // namespace ringside
