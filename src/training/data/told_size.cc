#include "training/data/told_size.h"

#include <cmath>

#include "base/error.h"

namespace lowrank::training {

pipeline::PictureSize told_size(PixelSize picture, PixelSize bucket, Mirrored mirrored) {
  LOWRANK_CHECK(picture.width > 0 && picture.height > 0 && bucket.width > 0 && bucket.height > 0);
  const auto width = static_cast<double>(bucket.width), height = static_cast<double>(bucket.height);
  const auto original_width = static_cast<double>(picture.width),
             original_height = static_cast<double>(picture.height);
  const double shape = original_width / original_height;
  const bool is_narrower = width / height > shape;
  const double fitted_width = is_narrower ? height * shape : width;
  const double fitted_height = is_narrower ? height : width / shape;
  const double left = std::floor((width - fitted_width) / 2), top = std::floor((height - fitted_height) / 2);
  return {.original_height = original_height,
          .original_width = original_width,
          .crop_top = top,
          .crop_left = mirrored == Mirrored::kYes ? std::trunc(width - (left + fitted_width)) : left,
          .target_height = height,
          .target_width = width};
}

}  // namespace lowrank::training
