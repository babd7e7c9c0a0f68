// A Stable Diffusion checkpoint opened and understood: which tensor is which parameter of which component,
// whatever the layout (single file in CompVis' naming, or a diffusers folder). Nothing is converted or
// copied; the views stay valid as long as this object lives.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_identity.h"
#include "formats/family.h"
#include "formats/layer_address.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

enum class Layout { kSingleFile, kDiffusersFolder };

// Canonical parameter name (LayerAddress path + ".weight"/".bias") → where its bytes are.
using ParameterViews = std::map<std::string, weights::TensorView, std::less<>>;

struct Checkpoint {
  std::filesystem::path path;
  Layout layout = Layout::kSingleFile;
  BaseModel base_model = BaseModel::kSd1;
  std::map<Component, ParameterViews> parts;
  // Facts that shapes cannot tell, where the checkpoint states them (diffusers' config.json, or our own
  // metadata `lowrank.unet_heads`, `lowrank.prediction_type` …); else the family's.
  std::optional<AttentionHeads> unet_heads;
  std::map<Component, int> text_heads;  // of each encoder; width / 64 unless stated
  int unread_text_layers = 0;           // at the end of SD 2.x's text encoder, which the U-Net does not read
  PredictionType prediction = PredictionType::kEpsilon;
  PredictionDetails prediction_details;  // and which statement decided (stated_prediction.h)
  bool is_prediction_stated = false;     // by the file itself: neither a mark nor the family's own
  std::map<std::string, std::string> metadata;
  std::vector<std::string> unused;  // keys of the file that belong to no parameter (model_ema.*, schedules …)
  std::vector<std::shared_ptr<const weights::TensorFile>> files;  // owners of the bytes
  // What was read of a diffusers folder beside them, as it was then; a file that was not there too.
  std::vector<std::pair<std::filesystem::path, FileIdentity>> configs;

  // One component's parameters; of one that is not there none.
  ParameterViews& operator[](Component component) { return parts[component]; }
  const ParameterViews& operator[](Component component) const;
};

// Opens a .safetensors/.ckpt file or a diffusers folder. Throws Error naming the file when it is no SD
// checkpoint (a LoRA, a bare VAE …: says what it looks like), when a component or a part of one is missing
// (missing_parameters.h), or when its weights are quantised (quantised_form.h).
Checkpoint open_checkpoint(const std::filesystem::path& path);

// Opens a stand-alone VAE (CompVis naming with or without root, or diffusers naming). Only the VAE is filled.
Checkpoint open_vae(const std::filesystem::path& path);

// Files and folders in `folder` and below that look like checkpoints, in natural path order.
std::vector<std::filesystem::path> find_checkpoints(const std::filesystem::path& folder);

}  // namespace lowrank::formats
