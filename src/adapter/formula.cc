#include "adapter/formula.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "tensor/state_dict.h"

namespace lowrank::adapter {
namespace {

using model::LayerKind;

formats::LayerForm form_of(LayerKind kind) {
  switch (kind) {
    case LayerKind::kLinear:
      return formats::LayerForm::kLinear;
    case LayerKind::kConv2d:
      return formats::LayerForm::kConvolution;
    case LayerKind::kLayerNorm:
    case LayerKind::kGroupNorm:
      return formats::LayerForm::kNorm;
    case LayerKind::kEmbedding:
      break;
  }
  return formats::LayerForm::kEmbedding;
}

}  // namespace

at::Tensor Module::at(std::string_view part) const {
  const auto found = parts.find(part);
  LOWRANK_CHECK(found != parts.end());
  return found->second.to(at::kFloat);
}

Module as_module(const formats::LoraEntry& entry, const std::shared_ptr<const void>& owner) {
  Module module{.name = entry.module,
                .kind = entry.kind,
                .parts = {},
                .alpha = entry.alpha,
                .rank = entry.rank,
                .settings = entry.settings,
                .facts = entry.facts};
  for (const auto& [part, view] : entry.parts) module.parts.emplace(part, tensor::as_tensor(view, owner));
  if (entry.shared)
    for (const auto& [part, view] : *entry.shared) module.parts.emplace(part, tensor::as_tensor(view, owner));
  return module;
}

LayerShape shape_of(const model::Layer& layer) {
  return {.kind = layer.kind(), .sizes = layer.weight().sizes().vec()};
}

formats::ModuleShapes shapes_of(const Module& module) {
  formats::ModuleShapes shapes{.kind = module.kind, .parts = {}, .facts = module.facts};
  for (const auto& [part, tensor] : module.parts) shapes.parts.emplace(part, tensor.sizes().vec());
  if (module.has("on_input")) shapes.facts.on_input = module.at("on_input").any().item<bool>();
  return shapes;
}

formats::LayerSizes sizes_of(const LayerShape& layer) {
  return {.form = form_of(layer.kind), .sizes = layer.sizes};
}

}  // namespace lowrank::adapter
