// The text encoders of Stable Diffusion, CLIP's (Radford et al. 2021, arXiv:2103.00020) and OpenCLIP's: causal
// transformers with pre-layer-norms, which differ in their activation and in what the U-Net reads of them
// (formats::TextEncoderRow). Width, depth and vocabulary are read from the parameters; a head is 64 wide unless stated.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "formats/family.h"
#include "model/layer.h"

namespace lowrank::model {

class TextEncoder {
 public:
  // `state` holds canonical names (formats/layer_address.h). `unread_layers`: at the end, as in SD 2.x. Throws Error
  // naming a missing parameter.
  TextEncoder(const tensor::StateDict& state, const formats::TextEncoderRow& row,
              std::optional<int> heads = {}, int unread_layers = 0);
  // That of SD 1.x.
  explicit TextEncoder(const tensor::StateDict& state, std::optional<int> heads = {});

  // Vectors that replace token embeddings (textual inversion): rows [position, position + n) of chunk `chunk`.
  struct Replacement {
    std::int64_t chunk = 0;
    std::int64_t position = 0;
    at::Tensor vectors;  // [n, width]
  };

  struct Output {
    at::Tensor hidden;       // float32 [chunks, 77, width]
    at::Tensor pooled = {};  // float32 [chunks, projection]; undefined where the row gives none
  };
  // ids int64 [chunks, 77] → what the row says that the U-Net reads, or with CLIP skip another layer: 1 the output of the
  // last layer, c > 1 the hidden state c − 1 layers before it. It passes through the final norm where the row's own does.
  // TextLayer::kPenultimateNormed knows no CLIP skip.
  static constexpr int kOwnLayer = 0;
  Output read(const at::Tensor& ids, int clip_skip = kOwnLayer,
              const std::vector<Replacement>& replacements = {}) const;

  at::Tensor encode(const at::Tensor& ids, int clip_skip = kOwnLayer,
                    const std::vector<Replacement>& replacements = {}) const {
    return read(ids, clip_skip, replacements).hidden;
  }

  // Hidden state after `layers` layers, without the final norm (0: the embeddings).
  at::Tensor hidden(const at::Tensor& ids, std::int64_t layers,
                    const std::vector<Replacement>& replacements = {}) const;
  // The final norm of a hidden state.
  at::Tensor normed(const at::Tensor& hidden) const { return (*final_norm_)(hidden); }

  // Whether CLIP skip has a meaning, and up to which number.
  int most_clip_skip() const {
    return row_.layer == formats::TextLayer::kLast ? static_cast<int>(depth()) : 1;
  }

  const formats::TextEncoderRow& row() const { return row_; }
  int unread_layers() const { return unread_layers_; }
  std::int64_t width() const { return width_; }
  std::int64_t pooled_width() const { return projection_ == nullptr ? 0 : projection_->weight().size(0); }
  std::int64_t depth() const { return static_cast<std::int64_t>(blocks_.size()); }
  std::int64_t positions() const { return positions_; }
  LayerMap& layers() { return layers_; }
  const LayerMap& layers() const { return layers_; }
  const std::shared_ptr<ComputePolicy>& policy() const { return policy_; }

 private:
  struct Block {
    Layer *norm1, *q, *k, *v, *out, *norm2, *fc1, *fc2;
  };
  at::Tensor embed(const at::Tensor& ids, const std::vector<Replacement>& replacements) const;
  at::Tensor walk(at::Tensor x, std::int64_t from, std::int64_t to) const;  // through layers [from, to)
  std::int64_t layers_read(int clip_skip) const;

  const formats::TextEncoderRow& row_;
  int unread_layers_;
  std::shared_ptr<ComputePolicy> policy_ = std::make_shared<ComputePolicy>();
  LayerMap layers_;
  Layer *token_embedding_, *position_embedding_, *final_norm_, *projection_ = nullptr;
  std::vector<Block> blocks_;
  std::int64_t width_ = 0, heads_ = 0, positions_ = 0;
};

}  // namespace lowrank::model
