#include "sampling/sampler_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "sampling/samplers/samplers.h"

namespace lowrank::sampling {
namespace {

constexpr auto kSamplers = std::to_array<SamplerRow>({
#define LOWRANK_SAMPLER(function, ...) {{__VA_ARGS__}, function},
#include "request/sampler_rows.inc"
#undef LOWRANK_SAMPLER
});

bool same_without_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Removes " SUFFIX" from the end of `name`; false when it does not end so.
bool cut_suffix(std::string_view& name, std::string_view suffix) {
  if (suffix.empty() || name.size() <= suffix.size() || !name.ends_with(suffix)) return false;
  if (name[name.size() - suffix.size() - 1] != ' ') return false;
  name.remove_suffix(suffix.size() + 1);
  return true;
}

}  // namespace

std::span<const SamplerRow> sampler_table() {
  return kSamplers;
}

const SamplerRow* find_sampler(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const auto& row : kSamplers) {
    if (same_without_case(row.label, name)) return &row;
    for (const auto alias : row.aliases) {
      if (same_without_case(alias, name)) return &row;
    }
  }
  return nullptr;
}

SamplerChoice resolve_sampler(std::string_view sampler_name, std::string_view schedule_name,
                              AutomaticSchedule automatic) {
  const ScheduleRow* schedule = find_schedule(schedule_name);
  SamplerChoice choice{.sampler = &kSamplers.front(),
                       .schedule = schedule != nullptr ? schedule : &automatic_schedule(),
                       .sampler_known = true,
                       .schedule_known = schedule != nullptr || schedule_name.empty()};
  // The search goes on with the shortened name, as in A1111: "X Karras Beta" loses both, and Beta stands.
  std::string_view name = sampler_name.empty() ? kSamplers.front().label : sampler_name;
  for (const auto& row : schedule_table()) {
    if (cut_suffix(name, row.label) || cut_suffix(name, row.name) || cut_suffix(name, row.alias))
      choice.schedule = &row;
  }
  if (const auto* found = find_sampler(name)) {
    choice.sampler = found;
  } else {
    choice.sampler_known = false;
  }
  if (automatic == AutomaticSchedule::kFold && choice.sampler->schedule == choice.schedule->name) {
    choice.schedule = &automatic_schedule();
  }
  return choice;
}

}  // namespace lowrank::sampling
