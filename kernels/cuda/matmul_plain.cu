// Products with many columns of activations where there are no tensor cores.
#include "tile_kernel.h"

namespace ringside::cuda {

void launch_plain_tiles(const Queue& queue, const TileWork& work, Type type, Size size, int64_t x,
                        int64_t y) {
  if (size == Size::medium) launch_type<Medium, PlainSums>(queue, work, type, x, y);
  if (size == Size::small) launch_type<Small, PlainSums>(queue, work, type, x, y);
}

}  // namespace ringside::cuda
