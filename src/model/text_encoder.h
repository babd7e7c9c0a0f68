// The CLIP text encoder of SD 1.x (Radford et al. 2021, arXiv:2103.00020): a causal transformer with pre-layer-norms
// and quick GELU. Width, depth and vocabulary are read from the parameters; a head is 64 wide unless stated.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/layer.h"

namespace lowrank::model {

class TextEncoder {
 public:
  // `state` holds canonical names (formats/layer_address.h). Throws Error naming a missing parameter.
  TextEncoder(const tensor::StateDict& state, std::optional<int> heads = std::nullopt);

  // Vectors that replace token embeddings (textual inversion): rows [position, position + n) of chunk `chunk`.
  struct Replacement {
    std::int64_t chunk = 0;
    std::int64_t position = 0;
    at::Tensor vectors;  // [n, width]
  };

  // ids int64 [chunks, 77] → float32 [chunks, 77, width]. Clip skip 1: output of the last layer; c > 1: the hidden
  // state c − 1 layers before it. Both then pass through the final layer norm.
  at::Tensor encode(const at::Tensor& ids, int clip_skip = 1,
                    const std::vector<Replacement>& replacements = {}) const;

  // Hidden state after `layers` layers, without the final norm (0: the embeddings).
  at::Tensor hidden(const at::Tensor& ids, std::int64_t layers,
                    const std::vector<Replacement>& replacements = {}) const;

  std::int64_t width() const { return width_; }
  std::int64_t depth() const { return static_cast<std::int64_t>(blocks_.size()); }
  std::int64_t positions() const { return positions_; }
  LayerMap& layers() { return layers_; }
  const LayerMap& layers() const { return layers_; }
  const std::shared_ptr<ComputePolicy>& policy() const { return policy_; }

 private:
  struct Block {
    Layer *norm1, *q, *k, *v, *out, *norm2, *fc1, *fc2;
  };
  std::shared_ptr<ComputePolicy> policy_ = std::make_shared<ComputePolicy>();
  LayerMap layers_;
  Layer *token_embedding_, *position_embedding_, *final_norm_;
  std::vector<Block> blocks_;
  std::int64_t width_ = 0, heads_ = 0, positions_ = 0;
};

}  // namespace lowrank::model
