// Work on a large picture piece by piece: square tiles that overlap, blended where they do.
#pragma once

#include <functional>

#include "image/picture.h"

namespace lowrank::image {

// Calls `work` with tiles of at most tile × tile pixels and lays its results together, the overlaps faded
// into each other in 8 bits. `work` enlarges every tile by the same whole factor. Source: A1111's split_grid
// and combine_grid; a picture smaller than a tile is one tile of its own size, where A1111 adds black on its
// left and top.
Picture map_tiles(const Picture& picture, int tile, int overlap,
                  const std::function<Picture(const Picture&)>& work);

}  // namespace lowrank::image
