// The part DDIM, DDIM CFG++ and PLMS share: the levels of a list of timesteps, walked from the back.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "sampling/walk.h"

namespace lowrank::sampling {

// One step, from ᾱ at T[i] to ᾱ at T[i−1], or a stride below T[i] where the walk has one. The list's first entry is only a
// target: a list of N makes N − 1 steps.
struct TimestepStep {
  float timestep, next_timestep;
  float alpha, alpha_prev;  // ᾱ
};
std::vector<TimestepStep> timestep_steps(const Walk& walk, const NoiseTable& table);

// x₀ = (x − √(1−ᾱ)·eps)/√ᾱ
at::Tensor predicted_x0(const at::Tensor& x, const at::Tensor& eps, const TimestepStep& step);
// √ᾱp·x₀ + √(1−ᾱp−s²)·direction
at::Tensor step_to_prev(const at::Tensor& x0, const at::Tensor& direction, const TimestepStep& step, float s);

}  // namespace lowrank::sampling
