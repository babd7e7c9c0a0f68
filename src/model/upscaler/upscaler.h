// Upscaler models: networks that make a picture larger by a whole factor.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "tensor/state_dict.h"

namespace lowrank::model {

class Upscaler {
 public:
  virtual ~Upscaler() = default;

  // picture [1, 3, H, W] in 0…1 → [1, 3, scale·H, scale·W], not clamped. Channels in the order that the model
  // was trained with, which is red, green, blue.
  virtual at::Tensor forward(const at::Tensor& picture) const = 0;
  virtual int scale() const = 0;
};

// The two forms that there are, told apart by their parameters' names; widths, depth and scale are read from the
// shapes. `state` in the naming of formats/upscaler_file.h. Throws Error naming a missing or misshapen parameter.
std::unique_ptr<Upscaler> make_upscaler(const tensor::StateDict& state);

}  // namespace lowrank::model
