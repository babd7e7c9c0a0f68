#include "model/upscaler/make_upscaler.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "model/upscaler/upscaler_forms.h"

namespace lowrank::model {

UpscalerConv upscaler_conv(const tensor::StateDict& state, const std::string& name) {
  const auto weight = state.find(name + ".weight"), bias = state.find(name + ".bias");
  if (weight == state.end() || bias == state.end())
    throw Error(kBadInput, "the upscaler lacks the parameter '{}.{}'; the file is incomplete.", name,
                weight == state.end() ? "weight" : "bias");
  const at::Tensor w = weight->second.to(at::kFloat), b = bias->second.to(at::kFloat);
  if (w.dim() != 4 || w.size(2) != 3 || w.size(3) != 3 || b.dim() != 1 || b.size(0) != w.size(0))
    throw Error(kBadInput, "the upscaler's layer '{}' is not a 3×3 convolution with a matching bias.", name);
  return {ops::Weight(w), b};
}

at::Tensor UpscalerConv::operator()(const at::Tensor& x) const {
  if (x.size(1) != weight.tensor.size(1))
    throw Error(kBadInput,
                "a layer of the upscaler expects {} channels but receives {}; the file mixes two models.",
                weight.tensor.size(1), x.size(1));
  return ops::conv2d(x, weight, bias, {}, {.stride = 1, .padding = 1}, {}, at::kFloat);
}

std::unique_ptr<Upscaler> make_upscaler(const tensor::StateDict& state) {
  return state.contains("conv_first.weight") ? rrdb_upscaler(state) : compact_upscaler(state);
}

}  // namespace lowrank::model
