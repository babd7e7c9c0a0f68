#include "model/text_encoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "model/ops/ops.h"

namespace lowrank::model {

using formats::TextLayer;

TextEncoder::TextEncoder(const tensor::StateDict& state, std::optional<int> heads)
    : TextEncoder(state, formats::family(formats::BaseModel::kSd1)->text_encoders.front(), heads) {}

TextEncoder::TextEncoder(const tensor::StateDict& state, const formats::TextEncoderRow& row,
                         std::optional<int> heads, int unread_layers)
    : row_(row), unread_layers_(unread_layers) {
  LayerBuilder build(row.component, state, layers_, policy_);
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
  if (row.gives_pooled) projection_ = build.linear("text_projection");
  width_ = token_embedding_->weight().size(1);
  positions_ = position_embedding_->weight().size(0);
  heads_ = heads.value_or(static_cast<int>(std::max<std::int64_t>(1, width_ / 64)));
  if (heads_ < 1 || width_ % heads_ != 0)
    throw Error(kBadInput, "the {}'s width {} is not a multiple of its {} heads.",
                formats::component_name(row.component), width_, heads_);
}

at::Tensor TextEncoder::embed(const at::Tensor& ids, const std::vector<Replacement>& replacements) const {
  LOWRANK_CHECK(ids.dim() == 2 && ids.size(1) <= positions_);
  const at::Tensor x = (*token_embedding_)(ids);
  for (const auto& r : replacements)
    x.select(0, r.chunk).narrow(0, r.position, r.vectors.size(0)).copy_(r.vectors);
  return x + (*position_embedding_)(at::arange(ids.size(1), at::kLong));
}

at::Tensor TextEncoder::walk(at::Tensor x, std::int64_t from, std::int64_t to) const {
  const auto activation =
      row_.kind == formats::TextEncoderKind::kOpenClip ? ops::Activation::kGelu : ops::Activation::kQuickGelu;
  for (std::int64_t n = from; n < to; ++n) {
    const Block& b = blocks_[static_cast<std::size_t>(n)];
    const at::Tensor h = (*b.norm1)(x);
    const at::Tensor attended =
        ops::attention((*b.q)(h), (*b.k)(h), (*b.v)(h), heads_, ops::Mask::kCausal, policy_->compute);
    x = (*b.out)(attended, {.residual = x});
    x = (*b.fc2)((*b.fc1)((*b.norm2)(x), {.activation = activation}), {.residual = x});
  }
  return x;
}

at::Tensor TextEncoder::hidden(const at::Tensor& ids, std::int64_t layers,
                               const std::vector<Replacement>& replacements) const {
  return walk(embed(ids, replacements), 0, layers);
}

std::int64_t TextEncoder::layers_read(int clip_skip) const {
  switch (row_.layer) {
    case TextLayer::kPenultimateNormed:
      return depth() - unread_layers_;
    case TextLayer::kPenultimate:
      if (clip_skip == kOwnLayer) return depth() - 1;
      break;
    case TextLayer::kLast:
      if (clip_skip == kOwnLayer) return depth();
      break;
  }
  const std::int64_t layers = depth() - (clip_skip - 1);
  if (clip_skip < 1 || layers < 1)
    throw Error(kBadInput, "clip skip {} is out of range: this text encoder has {} layers.", clip_skip,
                depth());
  return layers;
}

TextEncoder::Output TextEncoder::read(const at::Tensor& ids, int clip_skip,
                                      const std::vector<Replacement>& replacements) const {
  const std::int64_t layers = layers_read(clip_skip);
  const at::Tensor at_layer = walk(embed(ids, replacements), 0, layers);
  Output output{.hidden = row_.layer == TextLayer::kPenultimate ? at_layer : normed(at_layer)};
  if (projection_ == nullptr) return output;
  const at::Tensor last = normed(walk(at_layer, layers, depth()));
  // The end token has the highest id of all; what follows it is padding.
  const at::Tensor ends = ids.argmax(1);
  output.pooled = (*projection_)(last.index({at::arange(ids.size(0), at::kLong), ends}));
  return output;
}

}  // namespace lowrank::model
