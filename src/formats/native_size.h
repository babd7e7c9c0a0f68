// In what size a checkpoint draws: the one that it learned, and those beside it which people draw in.
#pragma once

#include <vector>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

// Side of the square that the checkpoint learned, in pixels: our own metadata `lowrank.default_size`, else its family's. Throws
// Error(kBadInput) where the metadata are no such number.
int native_size(const Checkpoint& checkpoint);

struct PictureSize {
  int width = 0, height = 0;  // pixels
};
// The square first, then pairs of landscape and portrait, the nearest to the square first. For 1024 pixels those of SDXL's
// training; for others one side native and the other 1¼ and 1½ times as long.
std::vector<PictureSize> usual_sizes(int native_size);

}  // namespace lowrank::formats
