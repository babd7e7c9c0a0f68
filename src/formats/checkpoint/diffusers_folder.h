// A checkpoint as diffusers writes it: a folder with unet/, vae/, text_encoder/ and text_encoder_2/, each a config.json beside
// its weights (.safetensors, also as .fp16 or .bf16 variant or in shards with an index, or a PyTorch .bin). Source:
// the files that huggingface/diffusers and huggingface/transformers save.
#pragma once

#include <filesystem>
#include <vector>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

bool is_diffusers_folder(const std::filesystem::path& folder);

// All components of its family, under canonical names. Missing parameters are not noticed here. Throws
// Error(kNotFound) for a component without weights and Error(kUnsupported) for a model of no known family.
Checkpoint read_diffusers_folder(const std::filesystem::path& folder);

// A vae/ folder alone; only the VAE is filled.
Checkpoint read_diffusers_vae(const std::filesystem::path& folder);

// Puts the tensors of a U-Net in diffusers naming into `checkpoint` under canonical names.
void add_diffusers_unet(Checkpoint& checkpoint, std::span<const weights::TensorView> tensors,
                        std::string_view place);

// Puts the tensors of a VAE in diffusers naming into `checkpoint` under canonical names; linear attention
// weights [c, c] get the shape of CompVis' 1×1 convolutions [c, c, 1, 1]. Names without translation go to
// `unused`, with `place` in front.
void add_diffusers_vae(Checkpoint& checkpoint, std::span<const weights::TensorView> tensors,
                       std::string_view place);

}  // namespace lowrank::formats
