#include "training/data/picture_file.h"

#include <ATen/ATen.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "image/codec/codec.h"

namespace lowrank::training {

PixelSize picture_size(const std::filesystem::path& path) {
  const image::Picture picture = image::load_picture(path);
  return {picture.width, picture.height};
}

at::Tensor load_picture(const std::filesystem::path& path, const BucketChoice& place) {
  const auto& [bucket, resized, error] = place;
  image::Picture picture = image::load_picture(path);
  picture = image::resize(picture, static_cast<int>(resized.width), static_cast<int>(resized.height));
  picture = image::crop(picture, static_cast<int>((resized.width - bucket.width) / 2),
                        static_cast<int>((resized.height - bucket.height) / 2),
                        static_cast<int>(bucket.width), static_cast<int>(bucket.height));
  at::Tensor rows = at::empty({bucket.height, bucket.width, 3}, at::kByte);
  std::memcpy(rows.data_ptr(), picture.rgb.data(), picture.rgb.size());
  return rows.permute({2, 0, 1}).contiguous();
}

at::Tensor to_signed(const at::Tensor& pictures) {
  return pictures.to(at::kFloat).div(127.5).sub(1.0);
}

}  // namespace lowrank::training
