// What every optimiser of the trainers can do. One file per optimiser; request/training/optimiser_rows.inc lists them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/state_dict.h"

namespace lowrank::training {

// A float32 leaf that requires a gradient, and the peak of its learning rate.
struct TrainedParameter {
  std::string name;
  at::Tensor tensor;
  double learning_rate = 0;
};

struct OptimiserOptions {
  double weight_decay = 0;
};

class Optimiser {
 public:
  explicit Optimiser(std::vector<TrainedParameter> parameters);
  virtual ~Optimiser() = default;
  Optimiser(const Optimiser&) = delete;
  Optimiser& operator=(const Optimiser&) = delete;

  // Scales all gradients so that their common norm is at most `limit`; returns the norm before. Non-finite norms drop
  // every gradient, so that the step changes nothing but the count.
  double clip_gradients(double limit);
  // One update with the gradients that backward() left, at `factor` times each parameter's learning rate; parameters
  // without a gradient stay. Gradients are then dropped.
  virtual void step(double factor) = 0;

  // What it remembers between steps; the parameters themselves are not included.
  virtual tensor::StateDict state() const = 0;
  // Takes state() back. Throws Error(kBadInput) naming a tensor that is missing or misshapen.
  virtual void load(const tensor::StateDict& state, std::int64_t steps) = 0;

 protected:
  std::vector<TrainedParameter> parameters_;
};

}  // namespace lowrank::training
