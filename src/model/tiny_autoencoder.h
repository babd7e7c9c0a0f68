// Tiny autoencoders (TAESD, TAESDXL; diffusers' AutoencoderTiny): chains of 3×3 convolutions and residual blocks with ReLU that
// do what a family's VAE does, in some hundredth of its operations and less exactly. Latents are in the sampler's units, no scale
// is applied. Widths and depth are read from the parameters, in the names of formats/tiny_autoencoder.h. Source of the form:
// diffusers 0.42, models/autoencoders/vae.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "formats/tiny_autoencoder.h"
#include "model/layer.h"

namespace lowrank::model {

// One half. Not to be used by two threads at once.
class TinyChain {
 public:
  // Throws Error(kBadInput) naming a parameter that is missing or misshapen, or a module that does not belong there.
  TinyChain(const tensor::StateDict& state, formats::TinyHalf half);

  at::Tensor run(at::Tensor x) const;

  std::int64_t inputs() const;                         // channels of what it takes
  std::int64_t outputs() const;                        // and of what it gives
  std::int64_t resampling() const { return factor_; }  // pixels of a latent's cell, 8
  ComputePolicy& policy() { return *policy_; }

 private:
  struct Module {
    std::array<Layer*, 3> block = {};  // a residual block's
    Layer* skip = nullptr;             // its 1×1 where its width changes
    Layer* conv = nullptr;             // else a convolution
    bool doubles = false;              // of a map enlarged to twice its size
  };
  void add(LayerBuilder& build, const tensor::StateDict& state, int number);

  formats::TinyHalf half_;
  std::shared_ptr<ComputePolicy> policy_ = std::make_shared<ComputePolicy>();
  LayerMap layers_;
  std::vector<Module> modules_;
  std::int64_t factor_ = 1;
};

class TinyDecoder {
 public:
  explicit TinyDecoder(const tensor::StateDict& state);
  // latent [B, 4, h, w] → picture [B, 3, 8h, 8w], about −1…1, not clamped.
  at::Tensor decode(const at::Tensor& latent) const;
  TinyChain chain;
};

class TinyEncoder {
 public:
  explicit TinyEncoder(const tensor::StateDict& state);
  // picture [B, 3, H, W] in −1…1 → latent [B, 4, H/8, W/8].
  at::Tensor encode(const at::Tensor& picture) const;
  TinyChain chain;
};

}  // namespace lowrank::model
