// The U-Net of Stable Diffusion 1.x (Rombach et al. 2022, arXiv:2112.10752): residual blocks with time embedding,
// spatial transformers with cross-attention. Every width, depth and block layout is read from the parameters' names
// and shapes; only the number of heads cannot be (SD 1.x: 8 everywhere).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "model/layer.h"
#include "model/prompt_memory.h"
#include "model/step_cache.h"

namespace lowrank::model {

class UNet {
 public:
  // `state` holds canonical names. Throws Error naming a missing parameter or a block that is not understood.
  UNet(const tensor::StateDict& state, std::optional<int> heads = std::nullopt);
  ~UNet();
  UNet(UNet&&) noexcept;

  // Called with a block's canonical name ("input_blocks.3", "middle_block" …) and its output.
  using Observer = std::function<void(std::string_view, const at::Tensor&)>;

  // x [B, 4, h, w], timesteps float [B] (may be fractional), context [B, 77·n, width] → prediction [B, 4, h, w], float32.
  // h and w of any size ≥ 1: where a level's size is odd, up-sampling meets the skip connection's size.
  // With a cache, most of the blocks may be left out.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timesteps, const at::Tensor& context,
                     const Observer& observer = {}) const;
  // The same without gradients, step after step with a prompt whose keys and values are kept.
  PromptMemory remember(at::Tensor context) const;
  // Rises whenever a change to a layer (a LoRA) comes or goes.
  std::uint64_t revision() const;
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timesteps, PromptMemory& prompt,
                     const Observer& observer = {}, StepCache* cache = nullptr) const;

  std::int64_t in_channels() const { return in_channels_; }
  std::int64_t context_width() const { return context_width_; }
  std::int64_t model_channels() const { return model_channels_; }  // of the finest level
  LayerMap& layers() { return layers_; }
  const LayerMap& layers() const { return layers_; }
  const std::shared_ptr<ComputePolicy>& policy() const { return policy_; }

  struct Part;   // one module of a block
  struct Stage;  // one input, middle or output block: parts in order

 private:
  at::Tensor run(const at::Tensor& x, const at::Tensor& timesteps, const at::Tensor& context,
                 PromptMemory* prompt, const Observer& observer, StepCache* cache) const;
  Stage build_stage(LayerBuilder& build, const std::string& prefix);
  std::shared_ptr<ComputePolicy> policy_ = std::make_shared<ComputePolicy>();
  LayerMap layers_;
  std::vector<Stage> input_, middle_, output_;
  Layer *time1_, *time2_, *out_norm_, *out_conv_;
  std::int64_t in_channels_ = 0, context_width_ = 0, model_channels_ = 0, heads_ = 8;
};

// Sinusoidal embedding of timesteps [B] → [B, width]: cos of t · 10000^(−i / half) for i < half, then sin.
// Source: CompVis latent-diffusion's order (cos first), after Vaswani et al. 2017.
at::Tensor timestep_embedding(const at::Tensor& timesteps, std::int64_t width);

}  // namespace lowrank::model
