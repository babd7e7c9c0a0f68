// Looks at every picture, caption and mask of a planned training set.
#pragma once

#include <vector>

#include "request/fault_list.h"
#include "training/data/dataset_plan.h"
#include "training/data/example.h"

namespace lowrank::training {

struct DatasetScan {
  std::vector<Subset> subsets;
  std::vector<Example> examples;
  std::vector<std::string> notes;
};

// Everything that is wrong with the set goes to `faults`, each by its file.
DatasetScan scan_dataset(const DatasetOptions& options, DatasetPlan plan, request::FaultList& faults);

}  // namespace lowrank::training
