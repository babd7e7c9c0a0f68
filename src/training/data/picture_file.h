// Pictures of a training set as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "training/data/buckets.h"

namespace lowrank::training {

// Throws Error naming the file when it cannot be decoded.
PixelSize picture_size(const std::filesystem::path& path);

// Decoded, resized and cut to its bucket: uint8 [3, H, W]. Transparent parts are laid over white. Throws as
// above.
at::Tensor load_picture(const std::filesystem::path& path, const BucketChoice& place);

// uint8 [.., 3, H, W] → float32 in −1…1.
at::Tensor to_signed(const at::Tensor& pictures);

}  // namespace lowrank::training
