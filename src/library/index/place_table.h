// The folders of the collection and what lies in them. Source: the folders of A1111's web UI.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "library/data_dir.h"

namespace lowrank::library {

struct PlaceRow {
  std::string_view name;    // in the index; never changed after release
  std::string_view kind;    // "lora", "checkpoint", "vae", "embedding", "upscaler"
  std::string_view folder;  // below the data folder, or below the starter's
  bool is_starter;
  std::vector<std::string_view> extensions;  // lower case
  bool is_flat = false;                      // what lies in folders below is no part of it
};

// LoRAs in the order in which a later one wins its name: the starter's first.
std::span<const PlaceRow> place_table();
const PlaceRow& place_named(std::string_view name);

// Empty for the starter's places when there is no starter.
std::filesystem::path folder_of(const PlaceRow& place, const DataDir& data);

// Whether a file name's extension is one of the place's, without regard to case.
bool is_model_file(const PlaceRow& place, std::string_view file_name);

}  // namespace lowrank::library
