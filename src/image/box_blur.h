// Pillow's GaussianBlur, which is three box blurs with fractional radius, rounded to 8 bits each.
#pragma once

#include "image/raster.h"

namespace lowrank::image {

Raster pillow_gaussian_blur(Raster raster, float radius);

}  // namespace lowrank::image
