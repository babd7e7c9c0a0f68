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
  };
  return kRows;
}

const PlaceRow& place_named(std::string_view name) {
  for (const PlaceRow& place : place_table())
    if (place.name == name) return place;
  throw Error(kInternal, "internal error: the index contains an unknown place '{}'; please report this.",
              name);
}

std::filesystem::path folder_of(const PlaceRow& place, const DataDir& data) {
  if (!place.is_starter) return data.folder(place.folder);
  return data.starter.empty() ? data.starter : data.starter / place.folder;
}

std::filesystem::path main_folder(std::string_view kind, const DataDir& data) {
  if (const auto there = folders_of_kind(kind, data); !there.empty()) return there.front();
  for (const PlaceRow& place : place_table())
    if (place.kind == kind && place.is_main) return folder_of(place, data);
  throw Error(kBadInput,
              "unknown kind of model '{}'; it must be lora, checkpoint, vae, embedding or upscaler.", kind);
}

std::vector<std::filesystem::path> folders_of_kind(std::string_view kind, const DataDir& data) {
  std::vector<std::filesystem::path> folders;
  std::error_code failure;
  for (const PlaceRow& place : place_table()) {
    if (place.kind != kind || place.is_starter) continue;
    const std::filesystem::path folder = folder_of(place, data);
    if (folder.empty() || !std::filesystem::is_directory(folder, failure)) continue;
    folders.insert(place.is_main ? folders.begin() : folders.end(), folder);
  }
  return folders;
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
