// Resizing, bit for bit as Pillow does it, since A1111 lets Pillow do it and a level more or less in an init
// picture would change what is drawn from it.
#pragma once

#include <functional>

#include "image/mask.h"
#include "image/picture.h"

namespace lowrank::image {

enum class Filter { kNearest, kBicubic, kLanczos };

Picture resample(const Picture& picture, int width, int height, Filter filter);
Mask resample(const Mask& mask, int width, int height, Filter filter);

// How a picture is brought to another shape. Source: A1111's resize_image.
enum class Fit {
  kStretch,  // proportions are given up
  kCover,    // fills the size, what stands over is cut off
  kContain,  // lies whole inside it, the rest continues the outermost rows or columns
};

// What enlarges: called with a picture and the size that it shall have. Without one, Lanczos.
using Enlarge = std::function<Picture(const Picture& picture, int width, int height)>;

Picture fit(const Picture& picture, int width, int height, Fit how, const Enlarge& enlarge = {});
Mask fit(const Mask& mask, int width, int height, Fit how);

}  // namespace lowrank::image
