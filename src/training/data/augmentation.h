// Changes of a picture that differ each time it is shown.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "training/data/picture_file.h"

namespace lowrank::training {

// Any place of the bucket in the resized picture.
Cut draw_cut(const BucketChoice& place, const at::Generator& generator);

// Of uint8 [3, H, W]: with a probability of 0.33 the hue is turned by up to 16° or, as often, each value v becomes v^γ
// with γ in 0.95 … 1.05, cut to 255 (of 0 … 255, so that γ also makes the picture brighter or darker).
// Source: kohya sd-scripts 0.10.1 (48d368fa), library/train_util.py, AugHelper.color_aug.
at::Tensor draw_colours(const at::Tensor& picture, const at::Generator& generator);

// Hue turned by `degrees`, at equal saturation and value (HSV). uint8 [3, H, W].
at::Tensor hue_turned(const at::Tensor& picture, double degrees);

}  // namespace lowrank::training
