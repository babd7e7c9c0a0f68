// Where the names of a request lead. The pipeline knows no folders and no index; names are turned into paths by the
// functions that it is given.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/resident/active_loras.h"

namespace lowrank::pipeline {

// Each function throws Error(kNotFound) in one sentence with the remedy.
struct Resources {
  std::function<std::filesystem::path(const std::string& name)>
      checkpoint;  // "": the one to take without being told
  LoraFinder lora;
  // Of a LoRA that is refused; may be empty.
  adapter::FittingCheckpoints fitting_checkpoints = {};
  // "Automatic": the file that belongs to the checkpoint, if there is one; "None": nullopt; else a name.
  std::function<std::optional<std::filesystem::path>(const std::string& name,
                                                     const std::filesystem::path& checkpoint)>
      vae;
  std::filesystem::path embeddings;  // folder; may be missing
  std::filesystem::path styles;      // styles.csv; may be missing
  // Files of upscaler models, asked for at each use; may be empty.
  std::function<std::vector<std::filesystem::path>()> upscalers = {};
  // The same of tiny autoencoders, among which other files may lie.
  std::function<std::vector<std::filesystem::path>()> tiny_autoencoders = {};
};

}  // namespace lowrank::pipeline
