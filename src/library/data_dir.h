// Where checkpoints, LoRAs and the rest are found: a data folder laid out as A1111's, and the starter model
// that ships with the program and is always there.
//
//   ROOT/models/Stable-diffusion   checkpoints        ROOT/embeddings   textual inversions
//   ROOT/models/Lora               LoRAs              ROOT/styles.csv   styles
//   ROOT/models/VAE                VAEs               ROOT/outputs      pictures
//   ROOT/models/ESRGAN, RealESRGAN upscalers          ROOT/models/VAE-approx, VAE-taesd   tiny autoencoders
//
// Folders as ComfyUI and others name them (models/loras, models/checkpoints …) are found too, and capitals do
// not count: index/place_table.h.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::library {

struct PlaceRow;  // index/place_table.h

struct DataDir {
  std::filesystem::path root;
  std::filesystem::path starter;  // folder of the starter model; empty when it was not installed

  // Places of the table whose folder lies elsewhere than at ROOT/FOLDER: by FOLDER, the path as it is written
  // on disk ("models/lora"); empty where it is the same folder as that of another place.
  std::map<std::string, std::filesystem::path, std::less<>> elsewhere = {};

  // Where a folder of the table ("models/Lora") lies.
  std::filesystem::path folder(std::string_view default_folder) const;
  // Where new files of each kind go.
  std::filesystem::path checkpoints() const;
  std::filesystem::path loras() const;
  std::filesystem::path vaes() const;
  std::filesystem::path embeddings() const;
  // All folders whose upscalers can be used; some may be missing.
  std::vector<std::filesystem::path> upscalers() const;
  std::filesystem::path styles() const { return root / "styles.csv"; }
  std::filesystem::path outputs() const { return root / "outputs"; }
  // What the starter adds; empty paths when there is none.
  std::filesystem::path starter_checkpoint() const;
  std::filesystem::path starter_loras() const;
};

// Empty for the starter's places when there is no starter, and where it is the folder of another place.
std::filesystem::path folder_of(const PlaceRow& place, const DataDir& data);

// Where new files of a kind go: the main place if its folder is there, else the first other one that is, else
// the main place. Throws Error(kBadInput) when there is no such kind.
std::filesystem::path main_folder(std::string_view kind, const DataDir& data);

// The kind's folders that are there, the main place's first.
std::vector<std::filesystem::path> folders_of_kind(std::string_view kind, const DataDir& data);

// `asked` (--data-dir) if it is not empty, else $LOWRANK_DATA_DIR, else the current folder if it holds
// models/, else the source tree that the program was built in, else ~/lowrank (which need not exist; without a
// home the current folder). Throws Error(kNotFound) when a folder that was named does not exist.
DataDir find_data_dir(const std::string& asked);

// The starter model's folder, found from where the program lies: models/starter of the source tree, or
// share/lowrank/models/starter of an installation. Empty when there is none.
std::filesystem::path find_starter();

// For a folder of models: throws Error(kIo) when it is there but cannot be listed: locked, no folder, or a link to a
// drive that is missing. Nothing stands in for what lies in it.
void check_readable(const std::filesystem::path& folder);

// Checkpoints of the data folder, of each of its folders in natural order; all_checkpoints(): then the starter. Throw
// what check_readable() throws.
std::vector<std::filesystem::path> own_checkpoints(const DataDir& data);
std::vector<std::filesystem::path> all_checkpoints(const DataDir& data);

// own_checkpoints(), the newest first.
std::vector<std::filesystem::path> newest_checkpoints(const DataDir& data);

// The checkpoint taken when none is named: the newest of the data folder that can be drawn with, else the starter; empty:
// there is none. What cannot be used (cut short, of another family) is opened, which reads its header, and passed over.
std::filesystem::path default_checkpoint(const DataDir& data);

// A checkpoint's path below the folder of checkpoints that it lies in ("sd15/fox.safetensors"); its file's name when
// it lies in none.
std::string checkpoint_relative(const DataDir& data, const std::filesystem::path& checkpoint);

// Every folder that models and what lies beside them are read from, the starter's too.
std::vector<std::filesystem::path> model_folders(const DataDir& data);

// How a checkpoint is called: a file without its ending, or a diffusers folder.
std::string checkpoint_name(const std::filesystem::path& checkpoint);

}  // namespace lowrank::library
