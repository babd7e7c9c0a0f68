#include "formats/lora/module_shapes.h"

namespace lowrank::formats {

std::int64_t LayerSizes::columns() const {
  return product(sizes, 1);
}

ModuleShapes shapes_of(const LoraEntry& entry) {
  ModuleShapes shapes{.kind = entry.kind, .parts = {}, .facts = entry.facts};
  for (const auto& [part, view] : entry.parts) shapes.parts.emplace(part, view.shape);
  if (entry.shared)
    for (const auto& [part, view] : *entry.shared) shapes.parts.emplace(part, view.shape);
  return shapes;
}

}  // namespace lowrank::formats
