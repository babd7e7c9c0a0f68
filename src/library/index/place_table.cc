#include "library/index/place_table.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace lowrank::library {

std::span<const PlaceRow> place_table() {
  static const std::vector<std::string_view> kLora = {".safetensors", ".pt", ".ckpt"};
  static const std::vector<std::string_view> kCheckpoint = {".safetensors", ".ckpt"};
  static const std::vector<std::string_view> kEmbedding = {".safetensors", ".pt", ".bin"};
  static const std::vector<std::string_view> kUpscaler = {".pth", ".pt", ".safetensors"};
  static const std::vector<std::string_view> kTiny = {".pth", ".pt", ".safetensors", ".bin"};
  static const std::vector<PlaceRow> kRows = {
      {"starter-lora", "lora", "lora", true, false, kLora},
      // The starter's LoRAs lie in a folder below.
      {"starter-checkpoint", "checkpoint", ".", true, false, kCheckpoint, true},
      {"loras", "lora", "models/loras", false, false, kLora},
      {"lora", "lora", "models/Lora", false, true, kLora},
      {"lycoris", "lora", "models/LyCORIS", false, false, kLora},
      {"checkpoint", "checkpoint", "models/Stable-diffusion", false, true, kCheckpoint},
      {"checkpoints", "checkpoint", "models/checkpoints", false, false, kCheckpoint},
      {"stablediffusion", "checkpoint", "models/StableDiffusion", false, false, kCheckpoint},
      {"vae", "vae", "models/VAE", false, true, {".safetensors", ".pt", ".ckpt"}},
      {"embedding", "embedding", "embeddings", false, true, kEmbedding},
      {"models-embedding", "embedding", "models/embeddings", false, false, kEmbedding},
      {"esrgan", "upscaler", "models/ESRGAN", false, true, kUpscaler},
      {"realesrgan", "upscaler", "models/RealESRGAN", false, false, kUpscaler},
      {"upscale-models", "upscaler", "models/upscale_models", false, false, kUpscaler},
      {"swinir", "upscaler", "models/SwinIR", false, false, kUpscaler},
      {"dat", "upscaler", "models/DAT", false, false, kUpscaler},
      {"vae-approx", "tiny-autoencoder", "models/VAE-approx", false, true, kTiny},
      {"vae-taesd", "tiny-autoencoder", "models/VAE-taesd", false, false, kTiny},
      {"comfy-vae-approx", "tiny-autoencoder", "models/vae_approx", false, false, kTiny},
  };
  return kRows;
}

const PlaceRow& place_named(std::string_view name) {
  for (const PlaceRow& place : place_table())
    if (place.name == name) return place;
  throw Error(kInternal, "internal error: the index contains an unknown place '{}'; please report this.",
              name);
}

bool is_model_file(const PlaceRow& place, std::string_view file_name) {
  const auto dot = file_name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  std::string extension(file_name.substr(dot));
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::ranges::find(place.extensions, extension) != place.extensions.end();
}

}  // namespace lowrank::library
