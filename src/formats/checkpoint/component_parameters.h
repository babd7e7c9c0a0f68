// The parameters of a checkpoint's components and the facts in its metadata, the same for every layout.
#pragma once

#include <string_view>

#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/open_clip_names.h"

namespace lowrank::formats {

// Whether `name`, without its root, is a parameter of the component: losses, averages and position_ids are
// none.
bool is_parameter(Component component, std::string_view name);

// The parameters that one tensor of a text encoder's root holds, under canonical names; none: it is no parameter.
NamedViews text_parameters(const TextEncoderRow& encoder, std::string_view name,
                           const weights::TensorView& view);

// Applies the facts that LowRank writes into metadata: lowrank.unet_heads (in every layer) or lowrank.unet_head_width,
// lowrank.text_heads and lowrank.text2_heads. What is said of the prediction: stated_prediction.h. Throws Error(kBadInput) for a value that makes no sense.
void apply_metadata(Checkpoint& checkpoint);

}  // namespace lowrank::formats
