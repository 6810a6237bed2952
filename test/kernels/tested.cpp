#include "support.h"

namespace ringside {

std::vector<std::string> tested_backends() { return available_backends(); }

std::unique_ptr<Backend> make_tested(std::string_view name, int threads) {
  return make_backend(name, threads);
}

}  // namespace ringside
