// What a LoRA training finds in its folders when it begins or goes on. All of it is looked at before the first picture
// is encoded, which may take long.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "training/data/dataset.h"
#include "training/lora/lora_metadata.h"
#include "training/run/parallel/process_group.h"
#include "training/run/train_state.h"

namespace lowrank::training {

struct LoraRunStart {
  std::vector<FolderLock> locks;  // of the folders of LoRA and state, as long as the run lasts
  RunState run;
  std::vector<std::string> notes;  // what is replaced or could not be guarded, one sentence each
  std::int64_t started_at = 0;     // Unix seconds: when the run began, which a resumed one remembers
  bool is_finished = false;        // all its steps are done and its LoRA lies there: nothing is to be done
};

// The LoRAs saved on the way that the ones saved after `done` steps supersede, by kohya's rule: of steps those that are more
// than --save-last-n-steps back, of epochs all but the last --save-last-n-epochs.
std::vector<std::filesystem::path> superseded_files(const LoraTrainOptions& options, const LoraPlan& plan,
                                                    std::int64_t done);

// The thread count becomes the one that the run began with: sums depend on it. With `options.fresh` a saved state is
// removed. The LoRA of a finished run is replaced when more steps are asked for. Throws Error(kConflict) when another run
// holds a folder, or a LoRA of that name is there already and no state of its run; Error(kNotFound) for a missing --resume; Error(kBadInput) when the saved state is none, is damaged,
// or belongs to other settings or pictures, naming the first picture or option that differs.
LoraRunStart begin_lora_run(const pipeline::LoadedModel& model, const Dataset& dataset,
                            const LoraTrainOptions& options, const LoraPlan& plan);

// Of several processes the writer begins the run and announces it, with its saved state; the others join it, and lock,
// read and replace nothing. Throws Error(kBadInput) naming the option, the checkpoint or the pictures in which this process
// differs from the writer, and as ProcessGroup does.
void announce_lora_run(const LoraRunStart& start, ProcessGroup& group);
LoraRunStart join_lora_run(const pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const LoraPlan& plan, ProcessGroup& group);

}  // namespace lowrank::training
