// What a trained LoRA says about itself: kohya's `ss_*` entries, SAI's `modelspec.*`, and the hashes by which
// A1111 finds it. All values are strings, written as Python's str() would.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "pipeline/resident/checkpoint_loader.h"
#include "request/training/lora_table.h"
#include "tensor/state_dict.h"
#include "training/data/dataset.h"

namespace lowrank::training {

using request::LoraTrainOptions;
using request::SavePrecision;

// Length of a run, settled from options and data.
struct LoraPlan {
  std::int64_t batches_per_epoch = 0, steps_per_epoch = 0, epochs = 0, steps = 0;
  std::int64_t processes = 1;  // that train together, each with a batch of the options' size
};

// steps_per_epoch = ⌈batches / accumulation⌉; with max_epochs the steps follow from it, else the epochs.
LoraPlan plan_run(const LoraTrainOptions& options, const Dataset& dataset);

// Whether the last timestep is noise alone: asked for, or stated by a checkpoint that predicts v.
bool has_zero_terminal_snr(const pipeline::LoadedModel& model, const LoraTrainOptions& options);

// What holds for the whole run. `started_at`: Unix seconds. `held_out`: nullptr when none is.
std::map<std::string, std::string> run_metadata(const pipeline::LoadedModel& model, const Dataset& dataset,
                                                const LoraTrainOptions& options, const LoraPlan& plan,
                                                std::int64_t started_at, const Dataset* held_out = nullptr);

// Writes down, up and alpha tensors (kohya's names) in the given precision, atomically. To `metadata` it adds
// ss_steps, ss_epoch, ss_training_finished_at, the hashes sshs_model_hash and sshs_legacy_hash (of the file
// with its `ss_*` entries alone, as kohya computes them) and modelspec.hash_sha256. `step` counts finished
// steps.
void save_lora(const std::filesystem::path& path, const tensor::StateDict& state, SavePrecision precision,
               std::map<std::string, std::string> metadata, std::int64_t step, const LoraPlan& plan);

}  // namespace lowrank::training
