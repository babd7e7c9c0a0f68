// A whole LoRA training as a user orders it: checkpoint by name, folder of pictures, options, sample pictures
// on the way. The command line and the server run it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "pipeline/session.h"
#include "training/lora/lora_trainer.h"

namespace lowrank::training {

struct LoraJob {
  std::string checkpoint;                // name or file; empty: the session's choice
  LoraTrainOptions options;              // resolution 0: the checkpoint's own size
  std::filesystem::path sample_prompts;  // a file of them; empty: no sample pictures
  std::string sample_lines;              // the prompts themselves, where there is no file
  std::filesystem::path sample_folder;   // empty: `sample` of the output folder
  std::int64_t sample_every_steps = 0;   // 0: only at the end
};

struct LoraJobResult : LoraTrainResult {
  std::string trigger;  // the trigger words, empty when the folders have none
  std::string tag;      // "<lora:NAME:1>"
};

// Tells through control.say what is about to happen (model, pictures, buckets, length) and what was left out.
// Throws as train_lora, and Error(kNotFound)
// for a checkpoint that is not there. The session's model is left as training leaves it: use another session
// afterwards.
LoraJobResult run_lora_job(pipeline::Session& session, const LoraJob& job, const RunControl& control);

}  // namespace lowrank::training
