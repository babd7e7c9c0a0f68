#include "training/data/picture_file.h"

#include <ATen/ATen.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "image/codec/codec.h"

namespace lowrank::training {
namespace {

// uint8 [H, W, 3].
at::Tensor fitted(const image::Picture& picture, const BucketChoice& place, const Cut& cut) {
  const auto& [bucket, resized, error] = place;
  const image::Picture part =
      image::crop(image::resize(picture, static_cast<int>(resized.width), static_cast<int>(resized.height)),
                  static_cast<int>(cut.left), static_cast<int>(cut.top), static_cast<int>(bucket.width),
                  static_cast<int>(bucket.height));
  at::Tensor rows = at::empty({bucket.height, bucket.width, 3}, at::kByte);
  std::memcpy(rows.data_ptr(), part.rgb.data(), part.rgb.size());
  return rows;
}

image::Picture grey_picture(const image::Mask& mask) {
  image::Picture picture = image::Picture::blank(mask.width, mask.height);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = mask.grey[i / 3];
  return picture;
}

}  // namespace

PixelSize picture_size(const std::filesystem::path& path) {
  const image::Picture picture = image::load_picture(path);
  return {picture.width, picture.height};
}

Cut middle_of(const BucketChoice& place) {
  return {(place.resized.width - place.bucket.width) / 2, (place.resized.height - place.bucket.height) / 2};
}

at::Tensor load_picture(const std::filesystem::path& path, const BucketChoice& place, const Cut& cut) {
  return fitted(image::load_picture(path), place, cut).permute({2, 0, 1}).contiguous();
}

at::Tensor load_picture(const std::filesystem::path& path, const BucketChoice& place) {
  return load_picture(path, place, middle_of(place));
}

at::Tensor load_loss_mask(const std::filesystem::path& path, MaskSource source, const BucketChoice& place,
                          const Cut& cut) {
  const image::Picture picture =
      source == MaskSource::kOpacity ? grey_picture(image::load_opacity(path)) : image::load_picture(path);
  const at::Tensor red = fitted(picture, place, cut).select(2, 0).to(at::kFloat).div(255.0);
  return at::adaptive_avg_pool2d(red.unsqueeze(0), {place.bucket.height / 8, place.bucket.width / 8})
      .squeeze(0)
      .contiguous();
}

at::Tensor to_signed(const at::Tensor& pictures) {
  return pictures.to(at::kFloat).div(127.5).sub(1.0);
}

}  // namespace lowrank::training
