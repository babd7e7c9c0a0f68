// Checkpoints that lack something: a file without VAE draws with another's, and a U-Net alone is worth naming.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

// As open_checkpoint(), of a checkpoint whose VAE may be missing: the caller brings one.
Checkpoint open_without_vae(const std::filesystem::path& path);

// As open_checkpoint(), of a file that holds at least a U-Net of a known family: whatever else it lacks, its parts are told.
Checkpoint open_parts(const std::filesystem::path& path);

// The components of its family that it has nothing of, in the order of a checkpoint's parts.
std::vector<Component> missing_components(const Checkpoint& checkpoint);

// A U-Net in a file of its own, as ComfyUI (`diffusion_model.`), diffusers (`down_blocks.`) and pruning tools write it.
struct LoneUnet {
  BaseModel model = BaseModel::kOther;  // by the width of its cross-attention
  std::string_view root;                // before CompVis' names
  bool is_diffusers = false;            // diffusers' names, without root
  std::string described() const;        // "the U-Net of an SDXL checkpoint, alone"
};

// nullopt: no U-Net, or one with a text encoder or a VAE beside it.
std::optional<LoneUnet> lone_unet(const weights::TensorFile& file);

}  // namespace lowrank::formats
