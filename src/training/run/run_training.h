// The one training loop. An interrupted run that is resumed ends bit for bit where an uninterrupted one does.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "request/training/schedules.h"
#include "training/optim/optimiser.h"
#include "training/run/objective.h"
#include "training/run/run_control.h"
#include "training/run/train_state.h"

namespace lowrank::training {

struct RunPlan {
  request::LearningRateSchedule schedule;  // and with it the number of steps
  double max_gradient_norm = 0;            // 0: no limit
  bool keeps_state = false;                // when the run has ended
  // Of data-parallel training: sums the gradients of all processes, and returns the sum of `loss`. nullptr: one process.
  std::function<double(const std::vector<TrainedParameter>&, double loss)> exchange = nullptr;
  bool is_writer = true;  // of several processes, the one that saves
};

struct RunResult {
  double loss = 0;                 // mean of the last steps of this call, at most 50
  std::vector<double> losses;      // of each step of this call
  std::int64_t skipped_steps = 0;  // whose gradient was not finite
};

// Runs the steps that are left and then objective.finish(). Throws Error(kCancelled) after saving the state when
// stopped, and Error(kBadInput) when a loss or a parameter is not finite, naming step and contents with the last good
// state kept, or when no gradient is finite for 20 steps in a row.
RunResult run_training(Objective& objective, Optimiser& optimiser, const RunPlan& plan, RunState& state,
                       const RunControl& control);

}  // namespace lowrank::training
