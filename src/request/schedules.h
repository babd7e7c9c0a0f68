// The learning-rate schedules: adding one is a function and a row in schedules.cc. The command line's choices and help,
// the API's schema and the trainers read this table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::request {

// One step of a run, as a schedule sees it. Steps count from 0.
struct ScheduleStep {
  std::int64_t step = 0, steps = 0, warmup = 0;
  double progress = 0;  // share of the steps after the warm-up that are finished
};

struct ScheduleRow {
  std::string_view name;  // kohya's
  std::string_view help;
  bool depends_on_length;                      // a resumed run must then have as many steps as it began with
  double (*factor)(const ScheduleStep& step);  // of the peak learning rate, after the warm-up
};

std::span<const ScheduleRow> schedule_table();
std::vector<std::string> schedule_names();
// Throws Error(kBadInput) naming the choices.
const ScheduleRow& schedule(std::string_view name);

// The factor of the peak learning rate at a step of a run. Every schedule begins with a linear warm-up.
class LearningRateSchedule {
 public:
  // Throws as schedule().
  LearningRateSchedule(std::string_view name, std::int64_t steps, std::int64_t warmup)
      : row_(schedule(name)), steps_(steps), warmup_(warmup) {}

  double factor(std::int64_t step) const;
  std::int64_t steps() const { return steps_; }

 private:
  const ScheduleRow& row_;
  std::int64_t steps_, warmup_;
};

}  // namespace lowrank::request
