// What a diffusion model is told beside the latent, and the keys and values of one prompt in all cross-attentions of a U-Net: they depend on nothing that changes from step
// to step, so they are made in the first and kept (15 MB for a prompt and its negative in Stable Diffusion 1.5).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "model/layer.h"

namespace lowrank::model {

struct Conditioning {
  at::Tensor text;         // [B, 77·n, width]
  at::Tensor vector = {};  // [B, width] for models that are told the picture's size; undefined for others
};

class PromptMemory {
 public:
  explicit PromptMemory(Conditioning conditioning) : conditioning_(std::move(conditioning)) {}

  const Conditioning& conditioning() const { return conditioning_; }

  // layer(text). Made again when something was added to the layer since, or taken away.
  at::Tensor project(const Layer& layer) {
    Product& product = products_[&layer];
    if (!product.result.defined() || product.revision != layer.revision())
      product = {layer.revision(), layer(conditioning_.text)};
    return product.result;
  }

 private:
  struct Product {
    std::uint64_t revision = 0;
    at::Tensor result;
  };
  Conditioning conditioning_;
  std::unordered_map<const Layer*, Product> products_;
};

}  // namespace lowrank::model
