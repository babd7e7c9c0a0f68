#include "model/upscaler.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "model/ops.h"

namespace lowrank::model {
namespace {

constexpr double kSlope = 0.2;     // of the leaky ReLU
constexpr double kResidual = 0.2;  // share of a block's result that is added to its input

at::Tensor lrelu(const at::Tensor& x) {
  return at::leaky_relu(x, kSlope);
}

bool has(const tensor::StateDict& state, const std::string& name) {
  return state.contains(name + ".weight");
}

}  // namespace

Upscaler::Conv Upscaler::conv(const tensor::StateDict& state, const std::string& name) const {
  const auto weight = state.find(name + ".weight"), bias = state.find(name + ".bias");
  if (weight == state.end() || bias == state.end())
    throw Error(kBadInput, "the upscaler lacks the parameter '{}.{}'; the file is incomplete.", name,
                weight == state.end() ? "weight" : "bias");
  const at::Tensor w = weight->second.to(at::kFloat), b = bias->second.to(at::kFloat);
  if (w.dim() != 4 || w.size(2) != 3 || w.size(3) != 3 || b.dim() != 1 || b.size(0) != w.size(0))
    throw Error(kBadInput, "the upscaler's layer '{}' is no 3×3 convolution with a bias that fits it.", name);
  return {ops::Weight(w), b};
}

at::Tensor Upscaler::Conv::operator()(const at::Tensor& x) const {
  if (x.size(1) != weight.tensor.size(1))
    throw Error(kBadInput,
                "a layer of the upscaler expects {} channels where {} come; the file mixes two models.",
                weight.tensor.size(1), x.size(1));
  return ops::conv2d(x, weight, bias, {}, {.stride = 1, .padding = 1}, {}, at::kFloat);
}

Upscaler::Upscaler(const tensor::StateDict& state) {
  first_ = conv(state, "conv_first");
  for (int n = 0; has(state, "body." + std::to_string(n) + ".rdb1.conv1"); ++n) {
    std::vector<DenseBlock> group;
    for (int k = 1; k <= 3; ++k) {
      DenseBlock block;
      for (int j = 1; j <= 5; ++j) block.push_back(conv(state, fmt::format("body.{}.rdb{}.conv{}", n, k, j)));
      group.push_back(std::move(block));
    }
    body_.push_back(std::move(group));
  }
  trunk_ = conv(state, "conv_body");
  for (int n = 1; has(state, "conv_up" + std::to_string(n)); ++n)
    doublings_.push_back(conv(state, "conv_up" + std::to_string(n)));
  hr_ = conv(state, "conv_hr");
  last_ = conv(state, "conv_last");
  const std::int64_t folded = first_.weight.tensor.size(1) / 3;
  if (last_.weight.tensor.size(0) != 3 || (folded != 1 && folded != 4 && folded != 16) ||
      first_.weight.tensor.size(1) % 3 != 0)
    throw Error(
        kUnsupported,
        "the upscaler takes {} channels and gives {}; only models from colour to colour are supported.",
        first_.weight.tensor.size(1), last_.weight.tensor.size(0));
  unshuffle_ = folded == 1 ? 1 : folded == 4 ? 2 : 4;
  scale_ = (1 << doublings_.size()) / unshuffle_;
  if (scale_ < 1) throw Error(kUnsupported, "the upscaler makes pictures smaller; its file is damaged.");
}

at::Tensor Upscaler::run(const DenseBlock& block, const at::Tensor& x) {
  std::vector<at::Tensor> seen = {x};
  for (std::size_t j = 0; j < 4; ++j) seen.push_back(lrelu(block[j](at::cat(seen, 1))));
  return block[4](at::cat(seen, 1)) * kResidual + x;
}

at::Tensor Upscaler::forward(const at::Tensor& picture) const {
  at::Tensor x = picture.to(at::kFloat);
  const std::int64_t height = x.size(2), width = x.size(3);
  if (unshuffle_ > 1) {
    const auto missing = [&](std::int64_t size) { return (unshuffle_ - size % unshuffle_) % unshuffle_; };
    x = at::pixel_unshuffle(at::reflection_pad2d(x, {0, missing(width), 0, missing(height)}), unshuffle_);
  }
  x = first_(x);
  at::Tensor h = x;
  for (const auto& group : body_) {
    at::Tensor inner = h;
    for (const DenseBlock& block : group) inner = run(block, inner);
    h = inner * kResidual + h;
  }
  x = x + trunk_(h);
  for (const Conv& doubling : doublings_)
    x = lrelu(doubling(at::upsample_nearest2d(x, at::IntArrayRef({x.size(2) * 2, x.size(3) * 2}))));
  x = last_(lrelu(hr_(x)));
  return x.narrow(2, 0, height * scale_).narrow(3, 0, width * scale_);
}

}  // namespace lowrank::model
