// The learning-rate schedules: adding one is a function and a row in schedules.cc. The command line's choices and help,
// the API's schema and the trainers read this table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::request {

// What some of the schedules can be told.
struct ScheduleShape {
  std::int64_t cycles = 1;     // of cosine_with_restarts
  double power = 1;            // of polynomial
  std::int64_t timescale = 0;  // of inverse_sqrt, in steps; 0: the warm-up, or 10000 without one
  double least = 0;            // of cosine_with_min_lr: where it ends, of the peak
  double peak = 1e-4;          // the learning rate itself: polynomial ends at 1e-7, not at a share of it
};

// One step of a run, as a schedule sees it. Steps count from 0.
struct ScheduleStep {
  std::int64_t step = 0, steps = 0, warmup = 0;
  double progress = 0;  // share of the steps after the warm-up that are finished
  ScheduleShape shape;
};

struct ScheduleRow {
  std::string_view name;  // kohya's
  std::string_view help;
  bool depends_on_length;                      // a resumed run must then have as many steps as it began with
  bool has_own_warmup;                         // instead of the linear one
  double (*factor)(const ScheduleStep& step);  // of the peak learning rate, after the warm-up
};

std::span<const ScheduleRow> schedule_table();
std::vector<std::string> lr_schedule_names();
// Throws Error(kBadInput) naming the choices.
const ScheduleRow& schedule(std::string_view name);

// The factor of the peak learning rate at a step of a run. Every schedule begins with a linear warm-up, in which it is one
// step ahead of the packages', whose first step has rate 0.
class LearningRateSchedule {
 public:
  // Throws as schedule().
  LearningRateSchedule(std::string_view name, std::int64_t steps, std::int64_t warmup,
                       const ScheduleShape& shape = {})
      : row_(schedule(name)), steps_(steps), warmup_(warmup), shape_(shape) {}

  double factor(std::int64_t step) const;
  std::int64_t steps() const { return steps_; }

 private:
  const ScheduleRow& row_;
  std::int64_t steps_, warmup_;
  ScheduleShape shape_;
};

}  // namespace lowrank::request
