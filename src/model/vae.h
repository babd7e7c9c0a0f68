// The autoencoder of Stable Diffusion (AutoencoderKL, Rombach et al. 2022): pictures ↔ latents at 1/2^(levels−1) of
// the size, 1/8 for SD. Dimensions and depth are read from the parameters. No scale factor is applied here.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/layer.h"

namespace lowrank::model {

class Vae {
 public:
  // `state` holds canonical names. Throws Error naming a missing parameter.
  explicit Vae(const tensor::StateDict& state);

  // latent [B, 4, h, w] → picture [B, 3, 8h, 8w], about −1…1, not clamped.
  at::Tensor decode(const at::Tensor& latent) const;

  // picture [B, 3, H, W] in −1…1, H and W multiples of 8 → moments [B, 8, H/8, W/8]: mean, then log-variance.
  at::Tensor encode_moments(const at::Tensor& picture) const;

  std::int64_t latent_channels() const { return latent_channels_; }
  std::int64_t downscale() const { return downscale_; }
  LayerMap& layers() { return layers_; }
  const LayerMap& layers() const { return layers_; }
  const std::shared_ptr<ComputePolicy>& policy() const { return policy_; }

  struct ResBlock {
    Layer *norm1, *conv1, *norm2, *conv2, *shortcut;
  };
  struct Attention {
    Layer *norm, *q, *k, *v, *out;
  };
  struct Level {
    std::vector<ResBlock> blocks;
    std::vector<Attention> attentions;  // empty, or one after each block
    Layer* resample;                    // nullptr at the last level
  };
  struct Half {
    Layer* conv_in;
    std::vector<Level> levels;  // in the order in which data pass
    ResBlock mid1, mid2;
    Attention mid_attention;
    Layer *norm_out, *conv_out;
  };

 private:
  std::shared_ptr<ComputePolicy> policy_ = std::make_shared<ComputePolicy>();
  LayerMap layers_;
  Half encoder_, decoder_;
  Layer *quant_, *post_quant_;
  std::int64_t latent_channels_ = 4, downscale_ = 8;
};

}  // namespace lowrank::model
