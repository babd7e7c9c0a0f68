// What a training will cost, measured on a few of its own steps.
#pragma once

#include <cstdint>

#include "pipeline/resident/checkpoint_loader.h"
#include "request/training/lora_options.h"
#include "training/data/dataset.h"
#include "training/run/run_control.h"

namespace lowrank::training {

struct StepCost {
  double batch_seconds = 0;     // of a whole batch of the largest bucket, forward, backward and update
  double picture_seconds = 0;   // to encode one picture
  std::int64_t peak_bytes = 0;  // of the process
};

// Trains a few steps on one batch in a folder that is removed again; nothing of the training itself is touched. Of `control`
// only `stop` and `say` are used. Throws as train_lora.
StepCost measure_step(pipeline::LoadedModel& model, const Dataset& dataset,
                      const request::LoraTrainOptions& options, const RunControl& control);

}  // namespace lowrank::training
