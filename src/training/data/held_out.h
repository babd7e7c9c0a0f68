// Pictures that are held out of a training, to see on them whether it learns what they share or memorises the others.
#pragma once

#include <cstdint>
#include <optional>

#include "request/training/lora_options.h"
#include "training/data/dataset.h"

namespace lowrank::training {

struct DatasetSplit {
  Dataset training;
  std::optional<Dataset> held_out;  // nullopt: none was asked for
};

// Of each folder of `dataset` but those of regularisation pictures the share that its configuration says, else the options,
// rounded, and one picture at least in all. Which ones follows
// from their content and the seed, so that it does not change when others come or go. `run_seed` is taken where the
// options give none. Throws Error(kBadInput) naming --validation-split when nothing would be left to train on.
DatasetSplit split_dataset(const Dataset& dataset, const request::ValidationOptions& options,
                           std::uint64_t run_seed);

}  // namespace lowrank::training
