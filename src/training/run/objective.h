// What a training is about, as the loop (run_training) sees it: which parameters learn, from which loss, and what is
// kept of them. Everything else (steps, schedule, optimiser, stopping, states, progress) belongs to the loop.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/state_dict.h"
#include "training/optim/optimiser.h"

namespace lowrank::training {

class Objective {
 public:
  Objective() = default;
  virtual ~Objective() = default;
  Objective(const Objective&) = delete;
  Objective& operator=(const Objective&) = delete;

  virtual std::string phase() const = 0;  // TrainEvent::phase
  virtual std::vector<TrainedParameter> parameters() const = 0;
  virtual double learning_rate() const = 0;  // the peak that progress reports

  // A step is the mean of this many batches. Steps count from 0.
  virtual std::int64_t batches(std::int64_t /*step*/) const { return 1; }
  // The loss of one batch, float32 scalar with a graph. Every random draw must follow from (step, batch) alone: a
  // resumed run repeats it.
  virtual at::Tensor loss(std::int64_t step, std::int64_t batch) = 0;
  // What that batch is made of, for the message when its loss is not finite: "its pictures are a.png and b.png".
  virtual std::string contents(std::int64_t /*step*/, std::int64_t /*batch*/) { return {}; }

  // Before the first step of a run that starts anew.
  virtual void begin() {}
  // What a resumed run needs beside the optimiser's state, and taking it back.
  virtual tensor::StateDict state() const = 0;
  virtual void load(const tensor::StateDict& state) = 0;

  // After each update of the parameters, before anything is saved; gradients are off.
  virtual void updated(std::int64_t /*step*/) {}
  // After each step, when its state has been saved, with gradients off: what is measured, drawn and written on the way.
  // `done` steps are finished. A resumed run calls it once more for the step of its state, `again`: it may have been
  // killed before all of it came about.
  virtual void on_the_way(std::int64_t /*done*/, bool /*again*/) {}
  // After the last step: what the training was for.
  virtual void finish(std::int64_t done) = 0;
};

}  // namespace lowrank::training
