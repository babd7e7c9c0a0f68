// The parts of a model that adapters change, whatever the model is made of.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "formats/family.h"
#include "formats/layer_address.h"
#include "model/layer.h"

namespace lowrank::adapter {

struct ModelPart {
  formats::Component component = formats::Component::kUnet;
  model::LayerMap* layers = nullptr;
};

struct ModelParts {
  formats::BaseModel base_model = formats::BaseModel::kOther;
  std::int64_t context_width = 0;                          // of cross-attention
  std::map<formats::Component, std::int64_t> text_widths;  // of each text encoder's token embeddings
  std::vector<ModelPart> parts;                            // text encoders first, in their order

  // nullptr: the model has no such component.
  model::LayerMap* layers(formats::Component component) const {
    for (const ModelPart& part : parts)
      if (part.component == component) return part.layers;
    return nullptr;
  }
};

}  // namespace lowrank::adapter
