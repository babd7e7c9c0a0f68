// Upscaler models: networks that make a picture larger by a whole factor.
#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank::model {

class Upscaler {
 public:
  virtual ~Upscaler() = default;

  // picture [1, 3, H, W] in 0…1 → [1, 3, scale·H, scale·W], not clamped. Channels in the order that the model
  // was trained with, which is red, green, blue.
  virtual at::Tensor forward(const at::Tensor& picture) const = 0;
  virtual int scale() const = 0;
};

}  // namespace lowrank::model
