// The keys and values of one prompt in all cross-attentions of a U-Net: they depend on nothing that changes from step
// to step, so they are made in the first and kept (15 MB for a prompt and its negative in Stable Diffusion 1.5).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "model/layer.h"

namespace lowrank::model {

class PromptMemory {
 public:
  explicit PromptMemory(at::Tensor context) : context_(std::move(context)) {}

  const at::Tensor& context() const { return context_; }  // [B, 77·n, width]

  // layer(context). Made again when something was added to the layer since, or taken away.
  at::Tensor project(const Layer& layer) {
    Product& product = products_[&layer];
    if (!product.result.defined() || product.revision != layer.revision())
      product = {layer.revision(), layer(context_)};
    return product.result;
  }

 private:
  struct Product {
    std::uint64_t revision = 0;
    at::Tensor result;
  };
  at::Tensor context_;
  std::unordered_map<const Layer*, Product> products_;
};

}  // namespace lowrank::model
