// A module of a LoRA file meets a layer: whether it fits, and the formula of its change.
#pragma once

#include <string>
#include <variant>

#include "adapter/formula.h"

namespace lowrank::adapter {

struct Misfit {
  std::string reason;  // "lora_down.weight is [4, 768], but the layer [320, 1024] needs [4, 1024]"
};
using Fit = std::variant<Formula, Misfit>;

// Matches a module with a layer: formats/kind_shapes says whether, the kind's formula how. Rules common to all kinds: a weight [o, i] and one [o, i, 1, 1] are
// interchangeable; scale = `.scale`, else alpha / rank, else 1; `.scalar` multiplies; a dense `.bias` is
// added to the unscaled ΔW; a 4-channel change of a 9-channel (inpainting) input convolution leaves the
// further channels alone; `dora_scale` and `lora_magnitude_vector` turn the sum into DoRA.
Fit fit(const Module& module, const LayerShape& layer);

}  // namespace lowrank::adapter
