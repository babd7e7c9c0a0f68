// Trains a LoRA on a folder of pictures: the model's weights stay as they are, a pair of small factors beside
// each layer learns. Every random draw of step n comes from (seed, n), so a run that was interrupted and
// resumed ends bit for bit where an uninterrupted one does.
#pragma once

#include <cstdint>
#include <filesystem>

#include "pipeline/checkpoint_loader.h"
#include "request/training/lora_table.h"
#include "training/data/dataset.h"
#include "training/lora/lora_metadata.h"
#include "training/run/run_control.h"
#include "training/run/run_training.h"

namespace lowrank::training {

struct LoraTrainResult : RunResult {
  std::filesystem::path file;
  std::int64_t steps = 0, modules = 0;
};

// Reports TrainEvent's phases "latents" (pictures encoded), then "lora" (steps); in control.after_step the adapter is in
// the model's slots, for sample pictures. The LoRA file stands complete at options.output_file() on return, and the state file is gone. While
// training, `model` carries the adapter; afterwards its slots are as they were. With bf16 the frozen weights
// of `model` are rounded to bfloat16 for good: load it again for other uses. Throws Error(kBadInput) naming
// an option, picture or folder, and Error(kConflict) when another run holds the folder or a finished file is there
// already, both before a picture is encoded; Error(kCancelled) after saving the state when stopped.
LoraTrainResult train_lora(pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const RunControl& control);

}  // namespace lowrank::training
