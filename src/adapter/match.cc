#include "adapter/match.h"

#include <map>
#include <utility>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter {

LayerShape shape_of(const formats::LayerSizes& layer) {
  LayerShape shape{.kind = model::LayerKind::kLinear, .sizes = layer.sizes};
  switch (layer.form) {
    case formats::LayerForm::kLinear:
      break;
    case formats::LayerForm::kConvolution:
      shape.kind = model::LayerKind::kConv2d;
      break;
    case formats::LayerForm::kNorm:
      shape.kind = model::LayerKind::kLayerNorm;
      break;
    case formats::LayerForm::kEmbedding:
      shape.kind = model::LayerKind::kEmbedding;
      break;
  }
  return shape;
}

std::vector<ModuleMatch> match_modules(const formats::LoraFile& lora, const formats::ModelLayers& model,
                                       const formats::LoraMatch& match) {
  std::vector<ModuleMatch> modules;
  std::map<formats::Component, kinds::SharedMatrices> drawn;
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const formats::LoraEntry& entry = lora.entries[i];
    const formats::EntryPlace& place = match.places[i];
    const formats::Component component = place.component;
    ModuleMatch found{.entry = &entry, .layer = {component, place.path}, .shape = {}, .fit = Misfit{}};
    if (!place.acts()) {
      found.fit = Misfit{place.reason};
      modules.push_back(std::move(found));
      continue;
    }
    found.shape = shape_of(model.parts.at(component).layers.find(place.path)->second);
    Module module = as_module(entry, lora.file);
    if (formats::draws_shared(entry)) {
      auto& matrices = drawn[component];
      if (!matrices.a.defined())
        matrices = kinds::draw_shared(entry.kind, entry.settings, entry.rank, match.spans.at(component));
      kinds::lend(module, matrices);
    }
    found.fit = fit(module, found.shape);
    modules.push_back(std::move(found));
  }
  return modules;
}

}  // namespace lowrank::adapter
