// The forms of activations, of more rows than a grid's y can count.
#include <vector>

#include "device.h"
#include "gpu.h"
#include "ops.h"
#include "support.h"

namespace ringside {
namespace {

TEST_CASE("activations of as many rows as a batch can choose experts take their forms") {
  constexpr int kRows = 65536 + 1;
  Device device(0);
  std::vector<float> values(kRows);
  for (int i = 0; i < kRows; i++) values[size_t(i)] = float(i % 251);
  cuda::Activations x;
  x.cols = 1;
  auto* floats = device.allocate_array<float>(kRows);
  device.upload(floats, values.data(), values.size() * sizeof(float));
  x.f32 = floats;
  x.bf16 = device.allocate_array<uint16_t>(kRows);
  cuda::prepare(device.queue(), x, kRows, cuda::kBf16);
  std::vector<uint16_t> found(kRows);
  device.download(found.data(), x.bf16, found.size() * sizeof(uint16_t));
  int wrong = 0;
  for (int i = 0; i < kRows; i++)
    wrong += found[size_t(i)] == float_to_bf16(values[size_t(i)]) ? 0 : 1;
  CHECK(wrong == 0);
  device.release(floats);
  device.release(x.bf16);
}

}  // namespace
}  // namespace ringside
