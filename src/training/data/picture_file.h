// Pictures of a training set as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "training/data/buckets.h"

namespace lowrank::training {

// Throws Error naming the file when it cannot be decoded.
PixelSize picture_size(const std::filesystem::path& path);

// Where the bucket is cut from the resized picture: its left and upper edge.
struct Cut {
  std::int64_t left = 0, top = 0;
};
Cut middle_of(const BucketChoice& place);

// Decoded, resized and cut to its bucket: uint8 [3, H, W]. Transparent parts are laid over white. Throws as
// above.
at::Tensor load_picture(const std::filesystem::path& path, const BucketChoice& place, const Cut& cut);
at::Tensor load_picture(const std::filesystem::path& path, const BucketChoice& place);  // cut from the middle

// What a mask is made of.
enum class MaskSource {
  kRed,      // a picture of its own: its red channel, as kohya reads it
  kOpacity,  // the training picture's transparency
};

// Resized and cut as its picture, and averaged over the 8×8 pixels of each latent: float32 [H/8, W/8] in 0…1. Throws as
// above. Source: kohya sd-scripts, library/custom_train_functions.py, apply_masked_loss (mode "area").
at::Tensor load_loss_mask(const std::filesystem::path& path, MaskSource source, const BucketChoice& place,
                          const Cut& cut);

// uint8 [.., 3, H, W] → float32 in −1…1.
at::Tensor to_signed(const at::Tensor& pictures);

}  // namespace lowrank::training
