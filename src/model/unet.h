// The U-Net of Stable Diffusion 1.x, 2.x (Rombach et al. 2022, arXiv:2112.10752) and XL (Podell et al. 2023,
// arXiv:2307.01952): residual blocks with time embedding, spatial transformers with cross-attention. Every width, depth
// and block layout is read from the parameters' names and shapes; only the number of heads cannot be.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "formats/family.h"
#include "model/diffusion_model.h"

namespace lowrank::model {

class UNet final : public DiffusionModel {
 public:
  // `state` holds canonical names. Throws Error naming a missing parameter or a block that is not understood.
  explicit UNet(const tensor::StateDict& state, std::optional<formats::AttentionHeads> heads = std::nullopt);
  ~UNet() override;
  UNet(UNet&&) noexcept;

  // Where a level's size is odd, up-sampling meets the skip connection's size.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timesteps, const Conditioning& conditioning,
                     const Observer& observer = {}) const override;
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timesteps, PromptMemory& prompt,
                     const Observer& observer = {}, StepCache* cache = nullptr) const override;
  PromptMemory remember(Conditioning conditioning) const override;
  std::uint64_t revision() const override;

  std::int64_t in_channels() const override { return in_channels_; }
  std::int64_t context_width() const override { return context_width_; }
  std::int64_t vector_width() const override { return label1_ == nullptr ? 0 : label1_->weight().size(1); }
  std::int64_t model_channels() const override { return model_channels_; }
  LayerMap& layers() override { return layers_; }
  const LayerMap& layers() const override { return layers_; }
  const std::shared_ptr<ComputePolicy>& policy() const override { return policy_; }

  struct Part;   // one module of a block
  struct Stage;  // one input, middle or output block: parts in order

 private:
  at::Tensor run(const at::Tensor& x, const at::Tensor& timesteps, const Conditioning& conditioning,
                 PromptMemory* prompt, const Observer& observer, StepCache* cache) const;
  at::Tensor embedding(const at::Tensor& timesteps, const at::Tensor& vector) const;
  Stage build_stage(LayerBuilder& build, const std::string& prefix);
  std::shared_ptr<ComputePolicy> policy_ = std::make_shared<ComputePolicy>();
  LayerMap layers_;
  std::vector<Stage> input_, middle_, output_;
  Layer *time1_, *time2_, *out_norm_, *out_conv_;
  Layer *label1_ = nullptr, *label2_ = nullptr;  // of Conditioning::vector
  formats::AttentionHeads heads_;
  std::int64_t in_channels_ = 0, context_width_ = 0, model_channels_ = 0;
};

}  // namespace lowrank::model
