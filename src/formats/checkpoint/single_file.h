// The single-file checkpoint of SD 1.x in CompVis' naming: one file, three roots.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

// Distributes the tensors of `file` to the components by their roots; what has no root goes to `unused`.
// Missing components stay empty.
Checkpoint read_single_file(std::shared_ptr<const weights::TensorFile> file);

// A VAE alone, in CompVis' naming with or without its root or in diffusers naming. Only `vae` is filled.
Checkpoint read_vae_file(std::shared_ptr<const weights::TensorFile> file);

// The family that the names of a checkpoint tell: roots of the text encoders, then the width of
// cross-attention.
BaseModel recognise_checkpoint(const weights::TensorFile& file);

// Whether `name`, without its root, is a parameter of the component: losses, averages and position_ids are
// none.
bool is_parameter(Component component, std::string_view name);

// The views of one component of a checkpoint.
ParameterViews& views_of(Checkpoint& checkpoint, Component component);
const ParameterViews& views_of(const Checkpoint& checkpoint, Component component);

// Applies the facts that LowRank writes into metadata: lowrank.unet_heads, lowrank.text_heads,
// lowrank.prediction_type. Throws Error(kBadInput) for a value that makes no sense.
void apply_metadata(Checkpoint& checkpoint);

}  // namespace lowrank::formats
