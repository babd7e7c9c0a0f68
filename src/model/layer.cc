#include "model/layer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/ops/ops.h"

namespace lowrank::model {

using formats::component_name;

Layer::Layer(formats::LayerAddress address, LayerKind kind, LayerGeometry geometry, at::Tensor weight,
             at::Tensor bias, std::shared_ptr<const ComputePolicy> policy)
    : address_(std::move(address)),
      kind_(kind),
      geometry_(geometry),
      base_(std::move(weight)),
      bias_(std::move(bias)),
      policy_(std::move(policy)) {}

bool Layer::wraps_around() const {
  return kind_ == LayerKind::kConv2d && policy_->wraps_around && geometry_.padding > 0 &&
         !geometry_.far_side_only;
}

// Wrapping around: the input is continued by more than a kernel's reach, run as ever, and what the zeros outside touched
// is cut off. So patches wrap around too, without knowing of it.
at::Tensor Layer::operator()(const at::Tensor& x, const ops::Fused& fused) const {
  if (!wraps_around()) return run(x, fused);
  const std::int64_t cut = geometry_.padding, reach = cut * geometry_.stride;
  const auto continued = [&](const at::Tensor& t, std::int64_t dim) {
    std::vector<at::Tensor> parts;
    for (std::int64_t left = reach; left > 0; left -= std::min(left, t.size(dim)))
      parts.insert(parts.begin(),
                   t.narrow(dim, t.size(dim) - std::min(left, t.size(dim)), std::min(left, t.size(dim))));
    parts.push_back(t);
    for (std::int64_t left = reach; left > 0; left -= std::min(left, t.size(dim)))
      parts.push_back(t.narrow(dim, 0, std::min(left, t.size(dim))));
    return at::cat(parts, dim);
  };
  const at::Tensor in = ops::upsample(x, fused);
  const at::Tensor y = run(continued(continued(in, 2), 3), {});
  return ops::finish(y.narrow(2, cut, y.size(2) - 2 * cut).narrow(3, cut, y.size(3) - 2 * cut).clone(),
                     fused);
}

at::Tensor Layer::run(const at::Tensor& x, const ops::Fused& fused) const {
  const ops::Weight& w = derived_.tensor.defined() ? derived_ : base_;
  const at::Tensor& b = slot_.derived_bias.defined() ? slot_.derived_bias : bias_;
  switch (kind_) {
    case LayerKind::kLinear:
    case LayerKind::kConv2d:
      break;
    case LayerKind::kLayerNorm:
      return ops::layer_norm(x, w.numbers(), b, geometry_.eps);
    case LayerKind::kGroupNorm:
      return ops::group_norm(x, geometry_.groups, w.numbers(), b, geometry_.eps, fused.activation);
    case LayerKind::kEmbedding:
      return at::embedding(w.numbers(), x).to(at::kFloat);
  }
  std::vector<const ops::LowRank*> low_rank;
  for (const auto& patch : slot_.patches)
    if (const ops::LowRank* part = patch->low_rank()) low_rank.push_back(part);
  const auto product = [&](const at::Tensor& in, std::span<const ops::LowRank* const> parts,
                           const ops::Fused& after) {
    if (kind_ == LayerKind::kLinear) return ops::linear(in, w, b, parts, after, policy_->compute);
    const ops::ConvGeometry geometry{geometry_.stride, geometry_.padding, geometry_.far_side_only};
    return ops::conv2d(in, w, b, parts, geometry, after, policy_->compute);
  };
  if (low_rank.size() == slot_.patches.size()) return product(x, low_rank, fused);
  const at::Tensor in = ops::upsample(x, fused);
  at::Tensor y = product(in, {}, {});
  for (const auto& patch : slot_.patches) y = patch->add_to(std::move(y), in);
  return ops::finish(std::move(y), fused);
}

bool Layer::is_base() const {
  return slot_.patches.empty() && !slot_.derived_weight.defined() && !slot_.derived_bias.defined() &&
         !wraps_around();
}

at::Tensor Layer::over(at::Tensor x) const {
  LOWRANK_CHECK(kind_ == LayerKind::kConv2d);
  if (!is_base()) return (*this)(x);
  return ops::conv2d_in_place(std::move(x), base_, bias_, policy_->compute);
}

at::Tensor Layer::of_norm(const Layer& norm, const at::Tensor& x, const ops::Fused& fused) const {
  LOWRANK_CHECK(kind_ == LayerKind::kConv2d && norm.kind_ == LayerKind::kGroupNorm);
  if (!is_base() || !norm.is_base()) return (*this)(norm(x, {.activation = ops::Activation::kSilu}), fused);
  const ops::ConvGeometry geometry{geometry_.stride, geometry_.padding, geometry_.far_side_only};
  return ops::conv2d_of_norm(x, norm.base_norm(), base_, bias_, geometry, fused, policy_->compute);
}

void Layer::hold_in_int8() {
  if (kind_ == LayerKind::kLinear || kind_ == LayerKind::kConv2d) base_.hold_in_int8();
}

void Layer::prepare() const {
  if (kind_ == LayerKind::kLinear || kind_ == LayerKind::kConv2d) ops::prepare(base_, geometry_.gated);
}

std::int64_t Layer::prepared_bytes() const {
  const bool is_product = kind_ == LayerKind::kLinear || kind_ == LayerKind::kConv2d;
  return is_product ? base_.packed_bytes(geometry_.gated) : 0;
}

void Layer::prepare_in(const kernels::Borrowed<std::byte>& memory) const {
  base_.pack_into(geometry_.gated, memory);
}

void Layer::adopt_prepared(const kernels::Borrowed<const std::byte>& memory) const {
  base_.adopt_packed(geometry_.gated, memory);
}

void Layer::set_slot(Slot slot) {
  slot_ = std::move(slot);
  ++revision_;
  derived_ = slot_.derived_weight.defined() ? ops::Weight(slot_.derived_weight) : ops::Weight();
}

void Layer::adopt(at::Tensor weight, at::Tensor bias) {
  base_ = ops::Weight(std::move(weight));
  bias_ = std::move(bias);
  ++revision_;
}

std::vector<NamedParameter> parameters(const LayerMap& layers) {
  std::vector<NamedParameter> all;
  for (const auto& [path, layer] : layers) {
    all.push_back({path + ".weight", layer->weight()});
    if (layer->bias().defined()) all.push_back({path + ".bias", layer->bias()});
  }
  return all;
}

void widen(LayerMap& layers) {
  for (auto& [path, layer] : layers) {
    const auto own = [](const at::Tensor& t) {
      return t.defined() ? t.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true) : t;
    };
    layer->adopt(own(layer->weight()), own(layer->bias()));
  }
}

LayerBuilder::LayerBuilder(formats::Component component, const tensor::StateDict& state, LayerMap& layers,
                           std::shared_ptr<const ComputePolicy> policy)
    : component_(component), state_(state), layers_(layers), policy_(std::move(policy)) {}

bool LayerBuilder::has(const std::string& path) const {
  return state_.contains(path + ".weight");
}

bool LayerBuilder::any(const std::string& prefix) const {
  const auto it = state_.lower_bound(prefix);
  return it != state_.end() && it->first.starts_with(prefix);
}

std::int64_t LayerBuilder::count(const std::string& prefix) const {
  std::int64_t n = 0;
  while (any(prefix + std::to_string(n) + ".")) ++n;
  return n;
}

Layer* LayerBuilder::make(const std::string& path, LayerKind kind, std::int64_t rank,
                          LayerGeometry geometry) {
  const auto weight = state_.find(path + ".weight");
  if (weight == state_.end()) {
    throw Error(kBadInput,
                "the {} lacks the parameter '{}.weight'; the checkpoint is incomplete or not of this family.",
                component_name(component_), path);
  }
  if (weight->second.dim() != rank || !weight->second.is_floating_point() || weight->second.numel() == 0) {
    throw Error(
        kBadInput,
        "the {} parameter '{}.weight' has {} dimensions of type {}, but {} of a float type are needed.",
        component_name(component_), path, weight->second.dim(), at::toString(weight->second.scalar_type()),
        rank);
  }
  const auto bias = state_.find(path + ".bias");
  const at::Tensor b = bias == state_.end() ? at::Tensor() : bias->second;
  if (b.defined() && (b.dim() != 1 || b.size(0) != weight->second.size(0) || !b.is_floating_point())) {
    throw Error(kBadInput,
                "the {} parameter '{}.bias' does not match its weight: {} elements, but {} are needed.",
                component_name(component_), path, b.numel(), weight->second.size(0));
  }
  if (kind == LayerKind::kConv2d) geometry.padding = weight->second.size(2) / 2;
  auto& slot = layers_[path];
  LOWRANK_CHECK(slot == nullptr);
  slot = std::make_unique<Layer>(formats::LayerAddress{component_, path}, kind, geometry, weight->second, b,
                                 policy_);
  return slot.get();
}

Layer* LayerBuilder::linear(const std::string& path) {
  return make(path, LayerKind::kLinear, 2, {});
}
Layer* LayerBuilder::gated_linear(const std::string& path) {
  return make(path, LayerKind::kLinear, 2, {.gated = true});
}
Layer* LayerBuilder::conv(const std::string& path, std::int64_t stride) {
  return make(path, LayerKind::kConv2d, 4, {.stride = stride});
}
Layer* LayerBuilder::halving_conv(const std::string& path) {
  return make(path, LayerKind::kConv2d, 4, {.stride = 2, .far_side_only = true});
}
Layer* LayerBuilder::conv_or_linear(const std::string& path) {
  const auto weight = state_.find(path + ".weight");
  return weight != state_.end() && weight->second.dim() == 2 ? linear(path) : conv(path);
}
Layer* LayerBuilder::group_norm(const std::string& path, double eps) {
  Layer* layer = make(path, LayerKind::kGroupNorm, 1, {.groups = 32, .eps = eps});
  if (layer->weight().size(0) % 32 != 0) {
    throw Error(kUnsupported, "the {} group norm '{}' has {} channels, which is not divisible by 32 groups.",
                component_name(component_), path, layer->weight().size(0));
  }
  return layer;
}
Layer* LayerBuilder::layer_norm(const std::string& path) {
  return make(path, LayerKind::kLayerNorm, 1, {.eps = 1e-5});
}
Layer* LayerBuilder::embedding(const std::string& path) {
  return make(path, LayerKind::kEmbedding, 2, {});
}

}  // namespace lowrank::model
