// Tiny autoencoders as files: TAESD and TAESDXL (madebyollin), small networks that stand in for a family's VAE. Both halves are
// chains of numbered modules; a file holds one of them or both.
//
//   here, and as first published       3.conv.0.weight   the decoder's chain begins with a module without parameters
//   ComfyUI                            taesd_decoder.3.conv.0.weight, taesd_encoder.1.conv.0.weight
//   diffusers' AutoencoderTiny         decoder.layers.2.conv.0.weight, encoder.layers.1.conv.0.weight
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "formats/checkpoint/checkpoint.h"
#include "formats/family.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

enum class TinyHalf { kDecoder, kEncoder };

// "decoder", "encoder".
std::string_view half_name(TinyHalf half);

struct TinyAutoencoderFile {
  ParameterViews decoder, encoder;  // empty: the file has not this half
  std::shared_ptr<const weights::TensorFile> file;

  const ParameterViews& operator[](TinyHalf half) const {
    return half == TinyHalf::kDecoder ? decoder : encoder;
  }
};

// Opens .safetensors, .pth, .pt or .bin. Throws Error(kUnsupported) naming the file when it is something else, or when the
// config.json of diffusers beside it states another activation or scale than these have.
TinyAutoencoderFile open_tiny_autoencoder(const std::filesystem::path& path);

// The family with whose latents a file works, which shapes do not tell: SD 1.x (SD 2.x has the same) or SDXL, by "taesd" or
// "taesdxl" in the file's name or in that of a folder of diffusers, else by modelspec.architecture in its metadata. nullptr: nothing
// says so, or it is of a family that is not drawn here (taesd3). Opens the file only where its name does not tell.
const FamilyRow* tiny_autoencoder_family(const std::filesystem::path& path);

// Whether two families have the same latents, and so the same autoencoders.
bool have_same_latents(const FamilyRow& a, const FamilyRow& b);

// What the file of a family and half is called where it is published: "taesdxl_decoder.pth".
std::string tiny_autoencoder_name(const FamilyRow& family, TinyHalf half);

}  // namespace lowrank::formats
