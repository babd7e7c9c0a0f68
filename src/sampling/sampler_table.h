// The samplers by name: one row each, in A1111's order, with what A1111 knows about it. Adding a sampler is a
// file in samplers/ and a row in sampler_table.cc.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "sampling/denoiser.h"
#include "sampling/schedules.h"
#include "sampling/step_context.h"

namespace lowrank::sampling {

// The way to walk. Sigma samplers use `sigmas` (falling, normally ending in 0), DPM fast and adaptive the
// range and `steps`, timestep samplers `timesteps` (rising; walked from the back).
struct Walk {
  std::vector<float> sigmas = {};
  std::vector<int> timesteps = {};
  float sigma_min = 0, sigma_max = 0;
  int steps = 0;
  bool from_image = false;  // the walk begins part-way, from a noised picture (img2img)
};

// Walks from x [n, 4, h, w] (already at the first noise level) to the end and returns the latent there.
using SamplerFunction = at::Tensor (*)(Denoiser& denoiser, at::Tensor x, const Walk& walk,
                                       StepContext& context);

struct SamplerRow {
  std::string_view label;                   // "DPM++ 2M", as infotext writes it
  std::array<std::string_view, 2> aliases;  // A1111's aliases; empty ones are unused
  std::string_view schedule;  // name of the automatic schedule; empty: the model's plain one ("uniform")
  SamplerFunction run;
  bool second_order = false;  // two model calls per step: prompt editing counts 2·steps
  bool brownian = false;      // noise from a Brownian tree
  bool discard_next_to_last_sigma = false;
  bool uses_ensd = false;                                        // infotext names ENSD for it
  bool is_timestep = false;                                      // walks in timesteps; ignores the scheduler
  bool is_lcm = false;                                           // uses NoiseTable::lcm()
  bool has_eta = false, has_churn = false, has_s_noise = false;  // which settings A1111 passes to it
  double default_eta = 1;
};

std::span<const SamplerRow> sampler_table();

// By label or alias, without case. nullptr when unknown.
const SamplerRow* find_sampler(std::string_view name);

// A sampler name that may carry a scheduler's name at its end ("DPM++ 2M Karras"), and a separate scheduler
// name.
struct SamplerChoice {
  const SamplerRow* sampler;
  const ScheduleRow* schedule;  // automatic_schedule() when none was asked for
  bool sampler_known;           // false: `sampler` is the default, the first of the table
  bool schedule_known;  // false: the scheduler name given is unknown, `schedule` is Automatic or the suffix's
};
enum class AutomaticSchedule {
  kKeepNamed,
  kFold
};  // kFold: a schedule equal to the automatic one becomes Automatic
// Empty names count as not given. kFold is for reading infotext, kKeepNamed for making pictures.
SamplerChoice resolve_sampler(std::string_view sampler_name, std::string_view schedule_name,
                              AutomaticSchedule automatic);

}  // namespace lowrank::sampling
