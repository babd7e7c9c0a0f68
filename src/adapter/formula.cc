#include "adapter/formula.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "adapter/kinds/kinds.h"
#include "base/error.h"
#include "tensor/state_dict.h"

namespace lowrank::adapter {
namespace {

using formats::AdapterKind;
using model::LayerKind;

Fit raw_formula(const Module& module, const LayerShape& layer) {
  switch (module.kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
      return kinds::lora(module, layer);
    case AdapterKind::kLoha:
      return kinds::loha(module, layer);
    case AdapterKind::kLokr:
      return kinds::lokr(module, layer);
    case AdapterKind::kIa3:
      return kinds::ia3(module, layer);
    case AdapterKind::kFull:
      return kinds::full(module, layer);
    case AdapterKind::kNorm:
      return kinds::norm(module, layer);
    case AdapterKind::kGlora:
      return kinds::glora(module, layer);
    case AdapterKind::kOft:
      return kinds::oft(module, layer);
    case AdapterKind::kBoft:
      return kinds::boft(module, layer);
  }
  return Misfit{"its kind is not supported"};
}

std::string_view layer_kind_name(LayerKind kind) {
  switch (kind) {
    case LayerKind::kLinear:
      return "linear layer";
    case LayerKind::kConv2d:
      return "convolution";
    case LayerKind::kLayerNorm:
      return "layer norm";
    case LayerKind::kGroupNorm:
      return "group norm";
    case LayerKind::kEmbedding:
      return "embedding";
  }
  return "layer";
}

bool suits(AdapterKind kind, LayerKind layer) {
  switch (layer) {
    case LayerKind::kLinear:
    case LayerKind::kConv2d:
      return kind != AdapterKind::kNorm;
    case LayerKind::kLayerNorm:
    case LayerKind::kGroupNorm:
      return kind == AdapterKind::kNorm || kind == AdapterKind::kFull;
    case LayerKind::kEmbedding:
      return kind == AdapterKind::kFull;
  }
  return false;
}

// Scale, `.scalar` and dense `.bias`, the same for all kinds: ΔW = s·(raw + bias).
Fit scaled(const Module& module, const LayerShape& layer, Formula formula) {
  double scale = 1;
  if (module.has("scale")) {
    if (module.parts.find("scale")->second.numel() != 1) return Misfit{"scale is no single number"};
    scale = module.at("scale").item<double>();
  } else if (module.alpha && formula.rank > 0) {
    scale = static_cast<double>(*module.alpha) / static_cast<double>(formula.rank);
    if (*module.alpha == 0)
      formula.notes.push_back(module.name + ": alpha is 0, so the module has no effect");
  }
  if (module.has("scalar")) {
    if (module.parts.find("scalar")->second.numel() != 1) return Misfit{"scalar is no single number"};
    scale *= module.at("scalar").item<double>();
  }
  at::Tensor dense;
  if (module.has("bias")) {
    dense = module.parts.find("bias")->second;
    if (dense.numel() != layer.out() * layer.columns())
      return Misfit{fmt::format("bias is {}, the layer's weight {}", kinds::sizes_text(dense.sizes()),
                                kinds::sizes_text(layer.sizes))};
    formula.factors.reset();
  }
  formula.scale = scale;
  if (formula.factors) formula.factors->scale = scale;
  if (formula.bias.defined()) formula.bias = formula.bias.reshape(-1) * scale;
  formula.weight = [raw = std::move(formula.weight), dense, scale, sizes = layer.sizes](
                       const at::Tensor& base, Dyn dyn) {
    at::Tensor delta = raw(base, dyn).reshape(sizes);
    if (dense.defined()) delta = delta + dense.to(at::kFloat).reshape(sizes);
    return scale == 1 ? delta : delta * scale;
  };
  return formula;
}

Fit fit_exactly(const Module& module, const LayerShape& layer) {
  Fit result = raw_formula(module, layer);
  if (auto* formula = std::get_if<Formula>(&result)) result = scaled(module, layer, std::move(*formula));
  if (!module.has("dora_scale")) return result;
  if (auto* formula = std::get_if<Formula>(&result)) result = kinds::dora(module, layer, std::move(*formula));
  return result;
}

// The formula for the first `narrow` of `wide` input channels of a convolution; the others stay as they are.
Formula padded(Formula formula, std::int64_t narrow, std::int64_t wide) {
  formula.weight = [inner = std::move(formula.weight), narrow, wide](const at::Tensor& base, Dyn dyn) {
    const at::Tensor delta = inner(base.defined() ? base.narrow(1, 0, narrow) : base, dyn);
    return at::constant_pad_nd(delta, {0, 0, 0, 0, 0, wide - narrow});
  };
  if (formula.factors)
    formula.factors->down = at::constant_pad_nd(formula.factors->down, {0, 0, 0, 0, 0, wide - narrow});
  return formula;
}

}  // namespace

at::Tensor Module::at(std::string_view part) const {
  const auto found = parts.find(part);
  LOWRANK_CHECK(found != parts.end());
  return found->second.to(at::kFloat);
}

Module as_module(const formats::LoraEntry& entry, const std::shared_ptr<const void>& owner) {
  Module module{.name = entry.module, .kind = entry.kind, .parts = {}, .alpha = entry.alpha};
  for (const auto& [part, view] : entry.parts) module.parts.emplace(part, tensor::as_tensor(view, owner));
  return module;
}

LayerShape shape_of(const model::Layer& layer) {
  return {.kind = layer.kind(), .sizes = layer.weight().sizes().vec()};
}

Fit fit(const Module& module, const LayerShape& layer) {
  if (!suits(module.kind, layer.kind)) {
    return Misfit{fmt::format("a {} module cannot change a {}", formats::adapter_kind_name(module.kind),
                              layer_kind_name(layer.kind))};
  }
  for (const auto& [part, tensor] : module.parts)
    if (tensor.numel() == 0)
      return Misfit{fmt::format("{} is empty: {}", part, kinds::sizes_text(tensor.sizes()))};
  Fit result = fit_exactly(module, layer);
  constexpr std::int64_t kInpaintingInputs = 9, kLatentInputs = 4;
  if (std::holds_alternative<Misfit>(result) && layer.kind == LayerKind::kConv2d &&
      layer.in() == kInpaintingInputs) {
    LayerShape latent = layer;
    latent.sizes[1] = kLatentInputs;
    Fit narrow = fit_exactly(module, latent);
    if (auto* formula = std::get_if<Formula>(&narrow))
      return padded(std::move(*formula), kLatentInputs, kInpaintingInputs);
  }
  return result;
}

}  // namespace lowrank::adapter
