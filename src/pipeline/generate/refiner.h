// A second U-Net that takes over part-way through a walk, as A1111's refiner does.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "pipeline/resident/prompted_model.h"
#include "sampling/noise_table.h"

namespace lowrank::pipeline {

// When the refiner takes over: at the first call whose share of the way done is at least `switch_at`.
//   by timesteps   (999 − t) / 1000, t the table's entry nearest to the noise level (timestep samplers and rectified flow: t itself)
//   by steps       call / total_calls
// Source: A1111's apply_refiner.
struct RefinerRule {
  double switch_at = 0;
  bool by_steps = false;
  bool is_timestep_sampler = false;
  int total_calls = 0;
  const sampling::NoiseTable* table = nullptr;  // the sampler's own

  bool is_due(float timestep, int call) const;
};

class RefinedModel : public sampling::NoiseModel {
 public:
  // Both must outlive this object. `on_switch` is called once, before the refiner's first call.
  RefinedModel(PromptedModel& base, PromptedModel& refiner, RefinerRule rule, std::function<void()> on_switch)
      : base_(base), refiner_(refiner), rule_(rule), on_switch_(std::move(on_switch)) {}

  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps,
                     std::span<const sampling::BranchRow> rows, int call) override;

  bool has_switched() const { return has_switched_; }

 private:
  PromptedModel& base_;
  PromptedModel& refiner_;
  RefinerRule rule_;
  std::function<void()> on_switch_;
  bool has_switched_ = false;
};

}  // namespace lowrank::pipeline
