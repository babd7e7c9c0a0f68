// Upscalers of Real-ESRGAN's compact form, SRVGGNet (arXiv:2107.10833, its "general" and "anime video" models): a
// chain of convolutions with a PReLU behind all but the last, whose channels unfold into pixels on top of the
// enlarged input.
#include <ATen/ATen.h>

#include <vector>

#include "base/error.h"
#include "model/upscaler/upscaler_forms.h"

namespace lowrank::model {
namespace {

class CompactUpscaler : public Upscaler {
 public:
  explicit CompactUpscaler(const tensor::StateDict& state);
  at::Tensor forward(const at::Tensor& picture) const override;
  int scale() const override { return scale_; }

 private:
  std::vector<UpscalerConv> convs_;
  std::vector<at::Tensor> slopes_;  // of the PReLU behind each but the last, per channel
  int scale_ = 4;
};

CompactUpscaler::CompactUpscaler(const tensor::StateDict& state) {
  // Convolutions have even numbers, the slopes between them odd ones.
  for (int n = 0; state.contains(fmt::format("body.{}.weight", n)); n += 2) {
    convs_.push_back(upscaler_conv(state, fmt::format("body.{}", n)));
    if (const auto slope = state.find(fmt::format("body.{}.weight", n + 1)); slope != state.end()) {
      const at::Tensor& values = slope->second;
      if (values.dim() != 1 || values.size(0) != convs_.back().out())
        throw Error(kBadInput, "the upscaler's slopes 'body.{}' do not match its layer 'body.{}'.", n + 1, n);
      slopes_.push_back(values.to(at::kFloat));
    }
  }
  if (convs_.size() < 2 || slopes_.size() + 1 != convs_.size())
    throw Error(kUnsupported,
                "the upscaler has {} layers and {} sets of slopes between them; the file is incomplete.",
                convs_.size(), slopes_.size());
  for (std::int64_t scale = 1; scale <= 8; ++scale)
    if (convs_.back().out() == 3 * scale * scale) scale_ = static_cast<int>(scale);
  if (convs_.front().in() != 3 || convs_.back().out() != 3 * scale_ * scale_)
    throw Error(
        kUnsupported,
        "the upscaler has {} input and {} output channels; only models from colour to colour are supported.",
        convs_.front().in(), convs_.back().out());
}

at::Tensor CompactUpscaler::forward(const at::Tensor& picture) const {
  const at::Tensor input = picture.to(at::kFloat);
  at::Tensor x = input;
  for (std::size_t i = 0; i + 1 < convs_.size(); ++i) x = at::prelu(convs_[i](x), slopes_[i]);
  x = at::pixel_shuffle(convs_.back()(x), scale_);
  return x + at::upsample_nearest2d(input, at::IntArrayRef({x.size(2), x.size(3)}));
}

}  // namespace

std::unique_ptr<Upscaler> compact_upscaler(const tensor::StateDict& state) {
  return std::make_unique<CompactUpscaler>(state);
}

}  // namespace lowrank::model
