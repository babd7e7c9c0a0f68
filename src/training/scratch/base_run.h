// `lowrank train base`: from folders of captioned pictures to a checkpoint in the SD 1.x single-file layout. Three
// phases, each resumed exactly where it stopped: the autoencoder, the latents of all pictures, text encoder and U-Net.
#pragma once

#include <filesystem>
#include <string>

#include "training/scratch/base_trainer.h"
#include "training/scratch/vae_trainer.h"

namespace lowrank::training {

struct BaseRunOptions {
  std::filesystem::path pictures;  // PNG, JPEG or WebP files of one size, each with a .txt caption beside it
  std::filesystem::path
      vae_pictures;            // for the autoencoder, no captions needed; empty: the same as `pictures`
  std::filesystem::path work;  // states and caches are kept here
  std::filesystem::path
      start;  // a checkpoint to go on from: its autoencoder is kept, the rest learns on; empty: from nothing
  std::filesystem::path out;      // the checkpoint, float16
  std::string shape = "starter";  // model::model_spec
  VaeTrainOptions vae;
  BaseTrainOptions base;
};

// Throws Error naming the folder or file that is wrong, Error(kCancelled) after saving when stopped.
void run_base_training(const BaseRunOptions& options, const RunControl& control);

}  // namespace lowrank::training
