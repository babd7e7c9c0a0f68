// The single-file checkpoint in CompVis' and Stability AI's naming: one file, a root for each component.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/open_clip_names.h"

namespace lowrank::formats {

// Distributes the tensors of `file` to the components of the family by their roots; what has no root goes to `unused`.
// Missing components stay empty.
Checkpoint read_single_file(std::shared_ptr<const weights::TensorFile> file, const FamilyRow& family);

// A VAE alone, in CompVis' naming with or without its root or in diffusers naming. Only the VAE is filled.
Checkpoint read_vae_file(std::shared_ptr<const weights::TensorFile> file);

// The family that the names of a checkpoint tell: roots of the text encoders, then the width of
// cross-attention.
BaseModel recognise_checkpoint(const weights::TensorFile& file);

// Whether `name`, without its root, is a parameter of the component: losses, averages and position_ids are
// none.
bool is_parameter(Component component, std::string_view name);

// The parameters that one tensor of a text encoder's root holds, under canonical names; none: it is no parameter.
NamedViews text_parameters(const TextEncoderRow& encoder, std::string_view name,
                           const weights::TensorView& view);

// Applies the facts that LowRank writes into metadata: lowrank.unet_heads (in every layer) or lowrank.unet_head_width,
// lowrank.text_heads and lowrank.text2_heads, lowrank.prediction_type. Throws Error(kBadInput) for a value that makes no sense.
void apply_metadata(Checkpoint& checkpoint);

}  // namespace lowrank::formats
