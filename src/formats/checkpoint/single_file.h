// The single-file checkpoint in CompVis' and Stability AI's naming: one file, a root for each component.
#pragma once

#include <memory>

#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/partial_checkpoint.h"

namespace lowrank::formats {

// Distributes the tensors of `file` to the components of the family by their roots; what has no root goes to `unused`.
// Missing components stay empty.
Checkpoint read_single_file(std::shared_ptr<const weights::TensorFile> file, const FamilyRow& family);

// A U-Net alone, whatever its naming (partial_checkpoint.h).
Checkpoint read_unet_file(std::shared_ptr<const weights::TensorFile> file, const LoneUnet& unet,
                          const FamilyRow& family);

// A VAE alone, in CompVis' naming with or without its root or in diffusers naming. Only the VAE is filled.
Checkpoint read_vae_file(std::shared_ptr<const weights::TensorFile> file);

// The family that the names of a checkpoint tell: roots of the text encoders, then the width of
// cross-attention.
BaseModel recognise_checkpoint(const weights::TensorFile& file);

}  // namespace lowrank::formats
