#include "library/index/place_table.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace lowrank::library {

std::span<const PlaceRow> place_table() {
  static const std::vector<std::string_view> kLora = {".safetensors", ".pt", ".ckpt"};
  static const std::vector<std::string_view> kCheckpoint = {".safetensors", ".ckpt"};
  static const std::vector<std::string_view> kUpscaler = {".pth", ".pt", ".safetensors"};
  static const std::vector<PlaceRow> kRows = {
      {"starter-lora", "lora", "lora", true, kLora},
      // The starter's LoRAs lie in a folder below.
      {"starter-checkpoint", "checkpoint", ".", true, kCheckpoint, true},
      {"lora", "lora", "models/Lora", false, kLora},
      {"lycoris", "lora", "models/LyCORIS", false, kLora},
      {"checkpoint", "checkpoint", "models/Stable-diffusion", false, kCheckpoint},
      {"vae", "vae", "models/VAE", false, {".safetensors", ".pt", ".ckpt"}},
      {"embedding", "embedding", "embeddings", false, {".safetensors", ".pt", ".bin"}},
      {"esrgan", "upscaler", "models/ESRGAN", false, kUpscaler},
      {"realesrgan", "upscaler", "models/RealESRGAN", false, kUpscaler},
      {"swinir", "upscaler", "models/SwinIR", false, kUpscaler},
      {"dat", "upscaler", "models/DAT", false, kUpscaler},
  };
  return kRows;
}

const PlaceRow& place_named(std::string_view name) {
  for (const PlaceRow& place : place_table())
    if (place.name == name) return place;
  throw Error(kInternal, "internal error: the index names a place '{}'; please report this.", name);
}

std::filesystem::path folder_of(const PlaceRow& place, const DataDir& data) {
  if (!place.is_starter) return data.root / place.folder;
  return data.starter.empty() ? data.starter : data.starter / place.folder;
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
