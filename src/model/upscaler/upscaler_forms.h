// What the forms of upscalers are made of. Inside the model room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/ops/ops.h"
#include "model/upscaler/upscaler.h"
#include "tensor/state_dict.h"

namespace lowrank::model {

// A 3×3 convolution that keeps the size.
struct UpscalerConv {
  ops::Weight weight;
  at::Tensor bias;

  std::int64_t in() const { return weight.tensor.size(1); }
  std::int64_t out() const { return weight.tensor.size(0); }
  at::Tensor operator()(const at::Tensor& x) const;
};
UpscalerConv upscaler_conv(const tensor::StateDict& state, const std::string& name);

std::unique_ptr<Upscaler> rrdb_upscaler(const tensor::StateDict& state);
std::unique_ptr<Upscaler> compact_upscaler(const tensor::StateDict& state);

}  // namespace lowrank::model
