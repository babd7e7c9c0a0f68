// Prodigy walked without a schedule, as prodigy-plus-schedule-free 2 forms it: Prodigy's estimate of the step size
// (prodigy.h), for each group of parameters on its own, with the averaging of schedule-free methods
// (adamw_schedule_free.h) and no momentum. The parameters hold y.
//
//   v ← β₂ v + d² (1−β₂) g², a matrix's factored where a side has 32 or more      u = d g / (√v + d ε)
//   u ← u / √max(1, RMS(u))                                                       with use_stableadamw
//   s ← β₃ s + (d²/√d₀) g      r ← β₃ r + (d²/√d₀) ⟨g, w₀ − z⟩                    every 11th number
//   c = (d·lr)² / Σ (d·lr)²    y ← (1−c) y + c z − d·lr (1 − β₁(1−c)) (u + λ y)   z ← z − d·lr (u + λ y)
//
// docs/training-optimisers.md says where this differs from the papers.
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class ProdigyPlusScheduleFree : public Optimiser {
 public:
  ProdigyPlusScheduleFree(std::vector<TrainedParameter> parameters,
                          const request::OptimiserArguments& arguments);

 private:
  // What a group of parameters has in common; without split_groups there is one.
  struct Group {
    double d = 0, numerator = 0, weight_sum = 0;
    float gathered_numerator = 0, gathered_denominator = 0;  // in this step
  };
  // The second moment of a matrix: the side that is averaged over for `row` is the longer.
  struct Factors {
    std::int64_t longer = 0, shorter = 0;  // dimensions
  };

  void update(double factor) override;
  at::Tensor found(std::size_t i) const override;
  at::Tensor scale(std::size_t i, const at::Tensor& g, double d);
  void gather(std::size_t i, const at::Tensor& g, Group& group);
  void walk(std::size_t i, at::Tensor& u, double rate, const Group& group);
  void estimate(Group& group) const;
  Group& group_of(std::size_t i);
  bool is_estimating() const;

  const double beta1_, beta2_, beta3_, weight_decay_, d0_, d_coef_, prodigy_steps_, averaging_, eps_;
  const bool decay_by_rate_, limiter_, stable_;
  std::vector<Group> groups_;
  std::vector<std::optional<Factors>> factors_;
  std::vector<at::Tensor> z_, v_, row_, column_;
  std::vector<at::Tensor> s_, start_;  // bfloat16
  bool split_groups_;
};

}  // namespace lowrank::training
