// Upscaler models of the ESRGAN form: RRDBNet (Wang et al. 2018, arXiv:1809.00219; Real-ESRGAN,
// arXiv:2107.10833), a chain of residual-in-residual dense blocks and up to three doublings at the end.
// Widths, depth and scale are read from the parameters' names and shapes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/ops.h"
#include "tensor/state_dict.h"

namespace lowrank::model {

class Upscaler {
 public:
  // `state` in the naming of formats/upscaler_file.h. Throws Error naming a missing or misshapen parameter.
  explicit Upscaler(const tensor::StateDict& state);

  // picture [1, 3, H, W] in 0…1 → [1, 3, scale·H, scale·W], not clamped. Channels in the order that the model
  // was trained with, which for ESRGAN's kin is red, green, blue.
  at::Tensor forward(const at::Tensor& picture) const;

  int scale() const { return scale_; }

 private:
  struct Conv {
    ops::Weight weight;
    at::Tensor bias;
    at::Tensor operator()(const at::Tensor& x) const;
  };
  using DenseBlock = std::vector<Conv>;  // five
  Conv conv(const tensor::StateDict& state, const std::string& name) const;
  static at::Tensor run(const DenseBlock& block, const at::Tensor& x);

  Conv first_, trunk_, hr_, last_;
  std::vector<std::vector<DenseBlock>> body_;  // three dense blocks each
  std::vector<Conv> doublings_;
  // Pixels of each side that are folded into channels first: Real-ESRGAN's 2× and 1× models.
  int unshuffle_ = 1;
  int scale_ = 4;
};

}  // namespace lowrank::model
