// The samplers by name, each with its function. Adding one is a file in samplers/ and a row in
// request/sampler_rows.inc.
#pragma once

#include <span>
#include <string_view>

#include "request/names.h"
#include "sampling/schedules.h"
#include "sampling/walk.h"

namespace lowrank::sampling {

struct SamplerRow : request::SamplerTraits {
  SamplerFunction run;
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
