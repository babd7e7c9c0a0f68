// `lowrank train base`: from folders of captioned pictures to a checkpoint in the SD 1.x single-file layout. Three
// phases, each resumed exactly where it stopped: the autoencoder, the latents of all pictures, text encoder and U-Net.
#pragma once

#include <filesystem>
#include <string>

#include "request/training/base_options.h"
#include "training/scratch/base_trainer.h"
#include "training/scratch/vae_trainer.h"

namespace lowrank::training {

using request::BaseTraining;

// Throws Error naming the folder or file that is wrong, Error(kCancelled) after saving when stopped.
void run_base_training(const BaseTraining& options, const RunControl& control);

}  // namespace lowrank::training
