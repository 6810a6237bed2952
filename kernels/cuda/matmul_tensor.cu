// Products with many columns of activations on tensor cores.
#include "tile_kernel.h"

namespace ringside::cuda {

#if RINGSIDE_MMA
void launch_tensor_tiles(const Queue& queue, const TileWork& work, Type type, Size size, int64_t x,
                         int64_t y) {
  if (size == Size::large) launch_type<Large, TensorSums>(queue, work, type, x, y);
  if (size == Size::medium) launch_type<Medium, TensorSums>(queue, work, type, x, y);
  if (size == Size::small) launch_type<Small, TensorSums>(queue, work, type, x, y);
}
#endif

}  // namespace ringside::cuda
