// What a step of sampling takes of memory, reckoned before the network runs, and how much of its batch goes through at a
// time where less is available: the system would swap, and a step take minutes.
#pragma once

#include <cstdint>
#include <string>

#include "pipeline/resident/checkpoint_loader.h"

namespace lowrank::pipeline {

// Bytes of a network's tensors for one row of a batch with `cells` places, about.
std::int64_t row_memory(const model::DiffusionModel& network, std::int64_t cells);

struct StepMemory {
  std::int64_t weights = 0;  // bytes of a file that must be in memory; 0 where the process has them already
  std::int64_t row = 0;      // bytes of each row's tensors
  std::int64_t rows = 1;     // pictures, times prompts and negative prompt
};

// Of a step with `rows` rows of `cells` places.
StepMemory step_memory(const LoadedModel& model, std::int64_t rows, std::int64_t cells);

struct StepPlan {
  std::int64_t rows_at_once = 0;  // 0: all
  std::string warning;            // one sentence; "": all is well
};

// Within `available` bytes. The rows' results do not depend on how many go at once.
StepPlan plan_step(const StepMemory& needed, std::int64_t available);

}  // namespace lowrank::pipeline
