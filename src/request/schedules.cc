#include "request/schedules.h"

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

double cosine(const ScheduleStep& at) {
  return 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, at.progress)));
}

constexpr ScheduleRow kSchedules[] = {
    {"constant", "stays at its peak", false, constant},
    {"constant_with_warmup", "the same as constant", false, constant},
    {"linear", "falls to 0 in a straight line", true, linear},
    {"cosine", "falls to 0 along half a cosine wave", true, cosine},
};

}  // namespace

std::span<const ScheduleRow> schedule_table() {
  return kSchedules;
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const auto& row : kSchedules) names.emplace_back(row.name);
  return names;
}

const ScheduleRow& schedule(std::string_view name) {
  for (const auto& row : kSchedules)
    if (row.name == name) return row;
  throw Error(kBadInput, "unknown learning-rate schedule '{}'; choose one of {}.", name,
              fmt::join(schedule_names(), ", "));
}

double LearningRateSchedule::factor(std::int64_t step) const {
  if (step < warmup_) return static_cast<double>(step + 1) / static_cast<double>(warmup_);
  const double progress =
      static_cast<double>(step - warmup_) / static_cast<double>(std::max<std::int64_t>(1, steps_ - warmup_));
  return row_.factor({step, steps_, warmup_, progress});
}

}  // namespace lowrank::request
