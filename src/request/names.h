// The names that a request chooses among: samplers, schedules, upscalers and the modes that A1111 spells out. What
// they do is the engine's; help, completion, page and API lists need the names alone. Files of models (checkpoints,
// VAEs, LoRAs, upscaler models) are found in folders and are not listed here.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace lowrank::request {

// How a sampler walks through the levels of a rectified flow, whose latent is (1 − t)·x₀ + t·ξ.
enum class FlowWalk {
  kSigmas,  // as sigma = t/(1 − t), of the latent divided by 1 − t: right for all that add noise or weigh answers by sigma
  kTimes,   // as t itself: straight lines in t, also from t = 1, where sigma is infinite
  kNone,    // neither: it draws straight lines and adds noise
};

struct SamplerTraits {
  std::string_view label;                        // "DPM++ 2M", as infotext writes it
  std::array<std::string_view, 2> aliases = {};  // A1111's aliases; empty ones are unused
  std::string_view schedule = {};  // name of the automatic schedule; empty: the model's plain one ("uniform")
  bool second_order = false;       // two model calls per step: prompt editing counts 2·steps
  bool brownian = false;           // noise from a Brownian tree
  bool discard_next_to_last_sigma = false;
  bool uses_ensd = false;    // infotext names ENSD for it
  bool is_timestep = false;  // walks in timesteps; of the schedules it takes those of whole timesteps alone
  bool is_lcm = false;       // uses NoiseTable::lcm()
  bool has_eta = false, has_churn = false, has_s_noise = false;  // which settings A1111 passes to it
  double default_eta = 1;
  FlowWalk flow = FlowWalk::kSigmas;
  bool has_own_spacing = false;  // of a timestep sampler: takes no schedule at all
};

struct ScheduleTraits {
  std::string_view name;   // "sgm_uniform"
  std::string_view label;  // "SGM Uniform", as infotext writes it
  std::string_view alias;  // "SGMUniform"; empty when there is none
  double default_rho;      // 0: the schedule has no rho
  bool is_offered;         // false: a name of Forge's that is understood, but not listed
  // A list of whole timesteps, which samplers that walk in timesteps take too.
  bool is_of_timesteps = false;
  // In such a walk a step from t ends 1000 div steps below, even where the next one begins elsewhere.
  bool has_even_targets = false;
};

// In A1111's order, then our own. The first sampler is the default, the first schedule is Automatic.
std::span<const std::string_view> sampler_names();
std::span<const std::string_view> schedule_names();  // those that are offered
std::span<const std::string_view> latent_upscaler_names();
std::span<const std::string_view> plain_upscaler_names();  // "None" first
std::span<const std::string_view> hires_upscaler_names();  // latent ones, then plain ones without "None"

}  // namespace lowrank::request
