#include "request/training/schedules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace lowrank::request {
namespace {

double constant(const ScheduleStep&) {
  return 1.0;
}

double linear(const ScheduleStep& at) {
  return std::max(0.0, 1.0 - at.progress);
}

// From 1 at 0 to 0 at 1 and beyond.
double half_wave(double progress) {
  return 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, progress)));
}

double cosine(const ScheduleStep& at) {
  return half_wave(at.progress);
}

double cosine_with_min_lr(const ScheduleStep& at) {
  return at.shape.least + (1 - at.shape.least) * half_wave(at.progress);
}

double cosine_with_restarts(const ScheduleStep& at) {
  if (at.progress >= 1) return 0;
  const double place = at.progress * static_cast<double>(at.shape.cycles);
  return half_wave(place - std::floor(place));
}

double polynomial(const ScheduleStep& at) {
  constexpr double kLeastRate = 1e-7;
  const double end = at.shape.peak > kLeastRate ? kLeastRate / at.shape.peak : 0;
  return end + (1 - end) * std::pow(1 - std::min(1.0, at.progress), at.shape.power);
}

double inverse_sqrt(const ScheduleStep& at) {
  const std::int64_t chosen = at.shape.timescale;
  const auto timescale = static_cast<double>(chosen > 0 ? chosen : at.warmup > 0 ? at.warmup : 10'000);
  return 1 / std::sqrt((static_cast<double>(at.step - at.warmup) + timescale) / timescale);
}

// Up from a 25th along half a cosine wave, over the warm-up or three tenths of the steps, then down to nothing along another.
// Source: Smith & Topin 2017 (arXiv:1708.07120) in the form of torch.optim.lr_scheduler.OneCycleLR.
double one_cycle(const ScheduleStep& at) {
  constexpr double kFirst = 1 / 25.0, kLast = kFirst / 1e4;
  const auto steps = static_cast<double>(at.steps), step = static_cast<double>(at.step);
  const double top = (at.warmup > 0 ? static_cast<double>(at.warmup) : 0.3 * steps) - 1, end = steps - 1;
  if (step < top) return 1 + (kFirst - 1) * half_wave(step / top);
  return kLast + (1 - kLast) * half_wave(end > top ? (step - top) / (end - top) : 1);
}

// Reflected exponential: high for long, then fast to 0. Source: Chen et al. 2021 (arXiv:2107.04197).
double rex(const ScheduleStep& at) {
  const double left = std::max(0.0, 1 - at.progress);
  return left / (0.5 + 0.5 * left);
}

constexpr ScheduleRow kSchedules[] = {
    {"constant", "stays at its peak", false, false, constant},
    {"constant_with_warmup", "the same as constant", false, false, constant},
    {"linear", "falls linearly to 0", true, false, linear},
    {"cosine", "falls to 0 along half a cosine wave", true, false, cosine},
    {"cosine_with_min_lr", "cosine down to --lr-scheduler-min-lr-ratio of its peak", true, false,
     cosine_with_min_lr},
    {"cosine_with_restarts", "cosine --lr-scheduler-num-cycles times over", true, false,
     cosine_with_restarts},
    {"polynomial", "falls to 1e-7 as a power, --lr-scheduler-power", true, false, polynomial},
    {"inverse_sqrt", "falls with the root of the steps, over --lr-scheduler-timescale", false, false,
     inverse_sqrt},
    {"one_cycle", "rises over the warm-up or 30 % of the steps, then falls to nothing", true, true,
     one_cycle},
    {"rex", "stays high for long, then falls fast to 0", true, false, rex},
};

}  // namespace

std::span<const ScheduleRow> schedule_table() {
  return kSchedules;
}

std::vector<std::string> lr_schedule_names() {
  std::vector<std::string> names;
  for (const auto& row : kSchedules) names.emplace_back(row.name);
  return names;
}

const ScheduleRow& schedule(std::string_view name) {
  for (const auto& row : kSchedules)
    if (row.name == name) return row;
  throw Error(kBadInput, "unknown learning-rate schedule '{}'; choose one of {}.", name,
              fmt::join(lr_schedule_names(), ", "));
}

double LearningRateSchedule::factor(std::int64_t step) const {
  if (step < warmup_ && !row_.has_own_warmup)
    return static_cast<double>(step + 1) / static_cast<double>(warmup_);
  const double progress =
      static_cast<double>(step - warmup_) / static_cast<double>(std::max<std::int64_t>(1, steps_ - warmup_));
  return row_.factor({step, steps_, warmup_, progress, shape_});
}

}  // namespace lowrank::request
