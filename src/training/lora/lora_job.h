// A whole LoRA training as a user orders it: checkpoint by name, folder of pictures, options, sample pictures
// on the way. The command line and the server run it.
#pragma once

#include <string>

#include "pipeline/session.h"
#include "training/lora/lora_trainer.h"

namespace lowrank::training {

using LoraJob = request::LoraTraining;

struct LoraJobResult : LoraTrainResult {
  std::string trigger;  // the trigger words, empty when the folders have none
  std::string tag;      // "<lora:NAME:1>"
};

// The same resources with the VAE that the job names instead of the session's own choice.
pipeline::Resources with_vae(pipeline::Resources resources, const std::string& vae);

// Tells through control.say what is about to happen (model, pictures, buckets, length) and what was left out.
// Throws as train_lora, and Error(kNotFound)
// for a checkpoint that is not there. The session's model is left as training leaves it: use another session
// afterwards.
LoraJobResult run_lora_job(pipeline::Session& session, const LoraJob& job, const LoraRunControl& control);

}  // namespace lowrank::training
