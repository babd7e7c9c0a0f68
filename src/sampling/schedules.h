// The sigma schedules: how n steps are spread over the noise levels. A schedule is a list of float32 sigmas,
// falling, that normally ends in 0. Their names are
// the rows of request/schedule_rows.inc, A1111's scheduler list in its order.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "request/names.h"
#include "sampling/noise_table.h"

namespace lowrank::sampling {

// A1111's settings that bend a schedule. 0 means "the schedule's own".
struct ScheduleSettings {
  double sigma_min = 0;  // named schedules only
  double sigma_max = 0;
  double rho = 0;                 // Karras and Polyexponential only
  bool old_karras_range = false;  // "use old karras scheduler sigmas": 0.1 … 10 instead of the table's range
  double beta_alpha = 0.6, beta_beta = 0.6;  // shape of the Beta schedule
  bool sdxl = false;                         // the SDXL values of the Align Your Steps family
};

struct ScheduleArguments {
  int steps;
  double sigma_min, sigma_max, rho;
  const NoiseTable& table;  // of a rectified flow: as_flow_times(), whose sigmas are times
  const ScheduleSettings& settings;
};

using ScheduleFunction = std::vector<float> (*)(const ScheduleArguments&);

struct ScheduleRow : request::ScheduleTraits {
  ScheduleFunction make;  // nullptr for "Automatic" alone
};

// In A1111's order; the first row is "Automatic".
std::span<const ScheduleRow> schedule_table();

// By exact name or label (case-sensitive, as A1111). nullptr when unknown.
const ScheduleRow* find_schedule(std::string_view name_or_label);
const ScheduleRow& automatic_schedule();

// The sigmas of `schedule` for `steps` steps. Those of a rectified flow are of its table's kind, the settings' sigmas
// always its times t, 0 … 1. Throws Error(kBadInput)
// for steps < 1 or more than the schedule has, for a range that is not 0 < sigma_min < sigma_max, for an impossible Beta shape
// and for a rectified flow where the schedule is a list of Stable Diffusion's levels. `schedule` must not be "Automatic": the sampler
// decides what that means (see run.h).
std::vector<float> make_schedule(const ScheduleRow& schedule, const NoiseTable& table, int steps,
                                 const ScheduleSettings& settings = {});

// Karras et al. 2022 (arXiv:2206.00364) eq. 5, n values from sigma_max to sigma_min and a 0; used by Restart
// too.
std::vector<float> karras_sigmas(int n, double sigma_min, double sigma_max, double rho = 7);

// n values from `first` to `last` in float32, both ends exact; just `first` for n = 1. (torch.linspace's
// formula.)
std::vector<float> linspace(float first, float last, int n);

}  // namespace lowrank::sampling
