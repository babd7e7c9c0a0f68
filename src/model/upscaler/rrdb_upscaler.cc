// Upscalers of the ESRGAN form: RRDBNet (Wang et al. 2018, arXiv:1809.00219; Real-ESRGAN, arXiv:2107.10833), a
// chain of residual-in-residual dense blocks and up to three doublings at the end.
#include <ATen/ATen.h>

#include <vector>

#include "base/error.h"
#include "model/upscaler/upscaler_forms.h"

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

class RrdbUpscaler : public Upscaler {
 public:
  explicit RrdbUpscaler(const tensor::StateDict& state);
  at::Tensor forward(const at::Tensor& picture) const override;
  int scale() const override { return scale_; }

 private:
  using DenseBlock = std::vector<UpscalerConv>;  // five
  static at::Tensor run(const DenseBlock& block, const at::Tensor& x);

  UpscalerConv first_, trunk_, hr_, last_;
  std::vector<std::vector<DenseBlock>> body_;  // three dense blocks each
  std::vector<UpscalerConv> doublings_;
  // Pixels of each side that are folded into channels first: Real-ESRGAN's 2× and 1× models.
  int unshuffle_ = 1;
  int scale_ = 4;
};

RrdbUpscaler::RrdbUpscaler(const tensor::StateDict& state) {
  first_ = upscaler_conv(state, "conv_first");
  for (int n = 0; has(state, "body." + std::to_string(n) + ".rdb1.conv1"); ++n) {
    std::vector<DenseBlock> group;
    for (int k = 1; k <= 3; ++k) {
      DenseBlock block;
      for (int j = 1; j <= 5; ++j)
        block.push_back(upscaler_conv(state, fmt::format("body.{}.rdb{}.conv{}", n, k, j)));
      group.push_back(std::move(block));
    }
    body_.push_back(std::move(group));
  }
  trunk_ = upscaler_conv(state, "conv_body");
  for (int n = 1; has(state, "conv_up" + std::to_string(n)); ++n)
    doublings_.push_back(upscaler_conv(state, "conv_up" + std::to_string(n)));
  hr_ = upscaler_conv(state, "conv_hr");
  last_ = upscaler_conv(state, "conv_last");
  const std::int64_t folded = first_.in() / 3;
  if (last_.out() != 3 || (folded != 1 && folded != 4 && folded != 16) || first_.in() % 3 != 0)
    throw Error(
        kUnsupported,
        "the upscaler has {} input and {} output channels; only models from colour to colour are supported.",
        first_.in(), last_.out());
  unshuffle_ = folded == 1 ? 1 : folded == 4 ? 2 : 4;
  scale_ = (1 << doublings_.size()) / unshuffle_;
  if (scale_ < 1) throw Error(kUnsupported, "the upscaler makes pictures smaller; its file is damaged.");
}

at::Tensor RrdbUpscaler::run(const DenseBlock& block, const at::Tensor& x) {
  std::vector<at::Tensor> seen = {x};
  for (std::size_t j = 0; j < 4; ++j) seen.push_back(lrelu(block[j](at::cat(seen, 1))));
  return block[4](at::cat(seen, 1)) * kResidual + x;
}

at::Tensor RrdbUpscaler::forward(const at::Tensor& picture) const {
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
  for (const UpscalerConv& doubling : doublings_)
    x = lrelu(doubling(at::upsample_nearest2d(x, at::IntArrayRef({x.size(2) * 2, x.size(3) * 2}))));
  x = last_(lrelu(hr_(x)));
  return x.narrow(2, 0, height * scale_).narrow(3, 0, width * scale_);
}

}  // namespace

std::unique_ptr<Upscaler> rrdb_upscaler(const tensor::StateDict& state) {
  return std::make_unique<RrdbUpscaler>(state);
}

}  // namespace lowrank::model
