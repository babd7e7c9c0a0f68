// What a LoRA training finds in its folders when it begins or goes on. All of it is looked at before the first picture
// is encoded, which may take long.
#pragma once

#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "training/data/dataset.h"
#include "training/lora/lora_metadata.h"
#include "training/run/train_state.h"

namespace lowrank::training {

struct LoraRunStart {
  std::vector<FolderLock> locks;  // of the folders of LoRA and state, as long as the run lasts
  RunState run;
  std::vector<std::string> notes;  // what is replaced or could not be guarded, one sentence each
};

// The thread count becomes the one that the run began with: sums depend on it. With `options.fresh` a saved state is
// removed. Throws Error(kConflict) when another run holds a folder, or a LoRA of that name is there already and no
// state of its run; Error(kNotFound) for a missing --resume; Error(kBadInput) when the saved state is none, is damaged,
// or belongs to other settings or pictures, naming the first picture or option that differs.
LoraRunStart begin_lora_run(const pipeline::LoadedModel& model, const Dataset& dataset,
                            const LoraTrainOptions& options, const LoraPlan& plan);

}  // namespace lowrank::training
