// The modules of a LoRA file beside the layers of a model that they change, from shapes alone: no weight of the model is
// needed until a formula is evaluated.
#pragma once

#include <vector>

#include "adapter/fit.h"
#include "adapter/formula.h"
#include "formats/lora/lora_fit.h"

namespace lowrank::adapter {

struct ModuleMatch {
  const formats::LoraEntry* entry = nullptr;  // of the file, which must outlive this
  formats::LayerAddress layer;                // path "" where there is none
  LayerShape shape;
  Fit fit;  // the formula, or why the module does not act
};

// One for each entry of the file, in its order. `match` is match_lora() of the same two.
std::vector<ModuleMatch> match_modules(const formats::LoraFile& lora, const formats::ModelLayers& model,
                                       const formats::LoraMatch& match);

// The other direction of sizes_of().
LayerShape shape_of(const formats::LayerSizes& layer);

}  // namespace lowrank::adapter
