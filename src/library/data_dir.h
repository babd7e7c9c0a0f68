// Where checkpoints, LoRAs and the rest are found: a data folder laid out as A1111's, and the starter model
// that ships with the program and is always there.
//
//   ROOT/models/Stable-diffusion   checkpoints        ROOT/embeddings   textual inversions
//   ROOT/models/Lora               LoRAs              ROOT/styles.csv   styles
//   ROOT/models/VAE                VAEs               ROOT/outputs      pictures
//   ROOT/models/ESRGAN, RealESRGAN upscalers
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lowrank::library {

struct DataDir {
  std::filesystem::path root;
  std::filesystem::path starter;  // folder of the starter model; empty when it was not installed

  std::filesystem::path checkpoints() const { return root / "models" / "Stable-diffusion"; }
  std::filesystem::path loras() const { return root / "models" / "Lora"; }
  std::filesystem::path vaes() const { return root / "models" / "VAE"; }
  std::vector<std::filesystem::path> upscalers() const {
    return {root / "models" / "ESRGAN", root / "models" / "RealESRGAN"};
  }
  std::filesystem::path embeddings() const { return root / "embeddings"; }
  std::filesystem::path styles() const { return root / "styles.csv"; }
  std::filesystem::path outputs() const { return root / "outputs"; }
  // What the starter adds; empty paths when there is none.
  std::filesystem::path starter_checkpoint() const;
  std::filesystem::path starter_loras() const;
};

// `asked` (--data-dir) if it is not empty, else $LOWRANK_DATA_DIR, else the current folder if it holds
// models/, else the source tree that the program was built in, else the current folder. Throws
// Error(kNotFound) when a folder that was named does not exist.
DataDir find_data_dir(const std::string& asked);

// The starter model's folder, found from where the program lies: models/starter of the source tree, or
// share/lowrank/models/starter of an installation. Empty when there is none.
std::filesystem::path find_starter();

// For a folder of models: throws Error(kIo) when it is there but cannot be listed: locked, no folder, or a link to a
// drive that is missing. Nothing stands in for what lies in it.
void check_readable(const std::filesystem::path& folder);

// Checkpoints of the data folder in natural order, then the starter. Throws what check_readable() throws.
std::vector<std::filesystem::path> all_checkpoints(const DataDir& data);

// The checkpoint taken when none is named: the newest of the data folder that can be drawn with, else the starter; empty:
// there is none. What cannot be used (cut short, of another family) is opened, which reads its header, and passed over.
std::filesystem::path default_checkpoint(const DataDir& data);

// How a checkpoint is called: a file without its ending, or a diffusers folder.
std::string checkpoint_name(const std::filesystem::path& checkpoint);

}  // namespace lowrank::library
