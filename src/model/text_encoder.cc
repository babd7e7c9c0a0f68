#include "model/text_encoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "model/ops/ops.h"

namespace lowrank::model {

TextEncoder::TextEncoder(const tensor::StateDict& state, std::optional<int> heads) {
  LayerBuilder build(formats::Component::kTextEncoder, state, layers_, policy_);
  token_embedding_ = build.embedding("embeddings.token_embedding");
  position_embedding_ = build.embedding("embeddings.position_embedding");
  const std::int64_t depth = build.count("encoder.layers.");
  for (std::int64_t n = 0; n < depth; ++n) {
    const std::string p = "encoder.layers." + std::to_string(n) + ".";
    blocks_.push_back({build.layer_norm(p + "layer_norm1"), build.linear(p + "self_attn.q_proj"),
                       build.linear(p + "self_attn.k_proj"), build.linear(p + "self_attn.v_proj"),
                       build.linear(p + "self_attn.out_proj"), build.layer_norm(p + "layer_norm2"),
                       build.linear(p + "mlp.fc1"), build.linear(p + "mlp.fc2")});
  }
  final_norm_ = build.layer_norm("final_layer_norm");
  width_ = token_embedding_->weight().size(1);
  positions_ = position_embedding_->weight().size(0);
  heads_ = heads.value_or(static_cast<int>(std::max<std::int64_t>(1, width_ / 64)));
  if (heads_ < 1 || width_ % heads_ != 0)
    throw Error(kBadInput, "the text encoder's width {} is not a multiple of its {} heads.", width_, heads_);
}

at::Tensor TextEncoder::hidden(const at::Tensor& ids, std::int64_t layers,
                               const std::vector<Replacement>& replacements) const {
  LOWRANK_CHECK(ids.dim() == 2 && ids.size(1) <= positions_);
  at::Tensor x = (*token_embedding_)(ids);
  for (const auto& r : replacements)
    x.select(0, r.chunk).narrow(0, r.position, r.vectors.size(0)).copy_(r.vectors);
  x = x + (*position_embedding_)(at::arange(ids.size(1), at::kLong));
  for (std::int64_t n = 0; n < layers; ++n) {
    const Block& b = blocks_[static_cast<std::size_t>(n)];
    const at::Tensor h = (*b.norm1)(x);
    const at::Tensor attended = ops::attention((*b.q)(h), (*b.k)(h), (*b.v)(h), heads_, ops::Mask::kCausal);
    x = (*b.out)(attended, {.residual = x});
    x = (*b.fc2)((*b.fc1)((*b.norm2)(x), {.activation = ops::Activation::kQuickGelu}), {.residual = x});
  }
  return x;
}

at::Tensor TextEncoder::encode(const at::Tensor& ids, int clip_skip,
                               const std::vector<Replacement>& replacements) const {
  const std::int64_t layers = depth() - (clip_skip - 1);
  if (clip_skip < 1 || layers < 1)
    throw Error(kBadInput, "clip skip {} is out of range: this text encoder has {} layers.", clip_skip,
                depth());
  return (*final_norm_)(hidden(ids, layers, replacements));
}

}  // namespace lowrank::model
