// Trains a LoRA on a folder of pictures: the model's weights stay as they are, a pair of small factors beside
// each layer learns. Every random draw of step n comes from (seed, n), so a run that was interrupted and
// resumed ends bit for bit where an uninterrupted one does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "pipeline/resident/checkpoint_loader.h"
#include "request/training/lora_table.h"
#include "training/data/dataset.h"
#include "training/lora/lora_metadata.h"
#include "training/run/parallel/process_group.h"
#include "training/run/run_control.h"
#include "training/run/run_training.h"

namespace lowrank::training {

// After which step sample pictures may be due. `again`: it may have been drawn before the run was killed.
struct SampleMoment {
  std::int64_t done = 0, steps = 0, steps_per_epoch = 1;
  bool again = false;
};

struct LoraRunControl : RunControl {
  LoraRunControl() = default;
  LoraRunControl(const RunControl& control) : RunControl(control) {}

  // Called before the first step and after each; `save` writes the LoRA as it is then, as every LoRA file of the run is
  // written. The model carries the adapter.
  std::function<void(const SampleMoment&, const std::function<void(const std::filesystem::path&)>& save)>
      samples = [](const SampleMoment&, const auto&) {};
  // The processes that train together; nullptr: this one alone. `dataset` then has batches of all of them, and only the
  // writer saves, draws samples and validates.
  std::shared_ptr<ProcessGroup> group = {};
  // A picture of what the LoRA draws, as a data URL for its metadata; "": there is none.
  std::function<std::string()> thumbnail = [] { return std::string(); };
};

// In the metadata of a LoRA file: the loss of the held-out pictures after its step.
inline constexpr const char* kValidationLoss = "lowrank.validation_loss";

struct LoraTrainResult : RunResult {
  std::filesystem::path file;
  std::filesystem::path state;                // empty: deleted
  std::map<std::int64_t, double> validation;  // by finished steps, of this call
  std::int64_t steps = 0, modules = 0;
};

// Reports TrainEvent's phases "latents" (pictures encoded), then "lora" (steps) and "validation". The LoRA file stands
// complete at options.output_file() on return, and its state beside it unless that is to be deleted. While
// training, `model` carries the adapter; afterwards its slots are as they were. With bf16 the frozen weights
// of `model` are rounded to bfloat16 for good: load it again for other uses. Throws Error(kBadInput) naming
// an option, picture or folder, and Error(kConflict) when another run holds the folder or a finished file is there
// already, both before a picture is encoded; Error(kCancelled) after saving the state when stopped.
LoraTrainResult train_lora(pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const LoraRunControl& control);

}  // namespace lowrank::training
