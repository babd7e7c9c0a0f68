// Learning-rate schedules by step, with kohya's names.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "base/error.h"

namespace lowrank::training {

// Factor of the peak rate at step (0-based) of steps. Linear warm-up over `warmup` steps in every schedule.
//   constant   1
//   linear     falls to 0
//   cosine     ½ (1 + cos π·progress)
inline double learning_rate_factor(std::string_view schedule, std::int64_t step, std::int64_t steps,
                                   std::int64_t warmup) {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  const double progress =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<std::int64_t>(1, steps - warmup));
  if (schedule == "constant" || schedule == "constant_with_warmup") return 1.0;
  if (schedule == "linear") return std::max(0.0, 1.0 - progress);
  if (schedule == "cosine") return 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, progress)));
  throw Error(kBadInput, "lr_scheduler '{}' is unknown; choose constant, linear or cosine.", schedule);
}

}  // namespace lowrank::training
