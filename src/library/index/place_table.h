// The folders of the collection and what lies in them. Source: the folders of A1111's web UI, and beside them
// those of ComfyUI and Fooocus (models/loras, checkpoints, embeddings, upscale_models) and of Stability Matrix
// (Models/StableDiffusion).
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace lowrank::library {

struct PlaceRow {
  std::string_view name;    // in the index; never changed after release
  std::string_view kind;    // "lora", "checkpoint", "vae", "embedding", "upscaler", "tiny-autoencoder"
  std::string_view folder;  // below the data folder, or below the starter's; capitals may differ on disk
  bool is_starter;
  bool is_main;                              // of the folders of its kind the one where new files go
  std::vector<std::string_view> extensions;  // lower case
  bool is_flat = false;                      // what lies in folders below is no part of it
};

// LoRAs in the order in which a later one wins its name: the starter's first.
std::span<const PlaceRow> place_table();
const PlaceRow& place_named(std::string_view name);

// Whether a file name's extension is one of the place's, without regard to case.
bool is_model_file(const PlaceRow& place, std::string_view file_name);

}  // namespace lowrank::library
