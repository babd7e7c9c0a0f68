#include "sampling/sampler_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "sampling/samplers/samplers.h"

namespace lowrank::sampling {
namespace {

// clang-format off
constexpr auto kSamplers = std::to_array<SamplerRow>({
    {.label = "DPM++ 2M", .aliases = {"k_dpmpp_2m"}, .schedule = "karras", .run = sample_dpmpp_2m},
    {.label = "DPM++ SDE", .aliases = {"k_dpmpp_sde"}, .schedule = "karras", .run = sample_dpmpp_sde,
     .second_order = true, .brownian = true, .has_eta = true, .has_s_noise = true},
    {.label = "DPM++ 2M SDE", .aliases = {"k_dpmpp_2m_sde"}, .schedule = "exponential", .run = sample_dpmpp_2m_sde,
     .brownian = true, .has_eta = true, .has_s_noise = true},
    {.label = "DPM++ 2M SDE Heun", .aliases = {"k_dpmpp_2m_sde_heun"}, .schedule = "exponential",
     .run = sample_dpmpp_2m_sde_heun, .brownian = true, .has_eta = true, .has_s_noise = true},
    {.label = "DPM++ 2S a", .aliases = {"k_dpmpp_2s_a"}, .schedule = "karras", .run = sample_dpmpp_2s_ancestral,
     .second_order = true, .uses_ensd = true, .has_eta = true, .has_s_noise = true},
    {.label = "DPM++ 3M SDE", .aliases = {"k_dpmpp_3m_sde"}, .schedule = "exponential", .run = sample_dpmpp_3m_sde,
     .brownian = true, .discard_next_to_last_sigma = true, .has_eta = true, .has_s_noise = true},
    {.label = "Euler a", .aliases = {"k_euler_a", "k_euler_ancestral"}, .schedule = "", .run = sample_euler_ancestral,
     .uses_ensd = true, .has_eta = true},
    {.label = "Euler", .aliases = {"k_euler"}, .schedule = "", .run = sample_euler,
     .has_churn = true, .has_s_noise = true},
    {.label = "LMS", .aliases = {"k_lms"}, .schedule = "", .run = sample_lms},
    {.label = "Heun", .aliases = {"k_heun"}, .schedule = "", .run = sample_heun,
     .second_order = true, .has_churn = true, .has_s_noise = true},
    {.label = "DPM2", .aliases = {"k_dpm_2"}, .schedule = "karras", .run = sample_dpm_2,
     .second_order = true, .discard_next_to_last_sigma = true, .has_churn = true, .has_s_noise = true},
    {.label = "DPM2 a", .aliases = {"k_dpm_2_a"}, .schedule = "karras", .run = sample_dpm_2_ancestral,
     .second_order = true, .discard_next_to_last_sigma = true, .uses_ensd = true, .has_eta = true,
     .has_s_noise = true},
    {.label = "DPM fast", .aliases = {"k_dpm_fast"}, .schedule = "", .run = sample_dpm_fast,
     .uses_ensd = true, .has_eta = true, .has_s_noise = true},
    {.label = "DPM adaptive", .aliases = {"k_dpm_ad"}, .schedule = "", .run = sample_dpm_adaptive,
     .uses_ensd = true, .has_eta = true},
    {.label = "Restart", .aliases = {"restart"}, .schedule = "karras", .run = sample_restart, .second_order = true},
    {.label = "DDIM", .aliases = {"ddim"}, .schedule = "", .run = sample_ddim,
     .is_timestep = true, .has_eta = true, .default_eta = 0},
    {.label = "DDIM CFG++", .aliases = {"ddim_cfgpp"}, .schedule = "", .run = sample_ddim_cfgpp,
     .is_timestep = true, .has_eta = true, .default_eta = 0},
    {.label = "PLMS", .aliases = {"plms"}, .schedule = "", .run = sample_plms, .is_timestep = true, .default_eta = 0},
    {.label = "UniPC", .aliases = {"unipc"}, .schedule = "", .run = sample_unipc, .is_timestep = true, .default_eta = 0},
    {.label = "LCM", .aliases = {"k_lcm"}, .schedule = "", .run = sample_lcm, .is_lcm = true},
});
// clang-format on

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
