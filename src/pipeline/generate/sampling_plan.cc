#include "pipeline/generate/sampling_plan.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"

namespace lowrank::pipeline {
namespace {

template <typename Rows>
std::string labels(const Rows& rows) {
  std::string list;
  for (const auto& row : rows) list += fmt::format("{}{}", list.empty() ? "" : ", ", row.label);
  return list;
}

sampling::NoiseTable noise_table(const request::GenerationRequest& request) {
  auto table = sampling::NoiseTable::stable_diffusion();
  if (request.downcast_alphas) table = table.downcast();
  if (request.noise_schedule == "Zero Terminal SNR") return table.zero_terminal_snr();
  if (request.noise_schedule != "Default")
    throw Error(kBadInput, "unknown noise schedule '{}'; choose Default or Zero Terminal SNR.",
                request.noise_schedule);
  return table;
}

sampling::SamplerSettings settings(const request::GenerationRequest& request,
                                   const sampling::SamplerRow& sampler) {
  const request::Decimal eta =
      request.eta.value_or(sampler.is_timestep ? request.eta_ddim : request::Decimal(1));
  return {.eta = eta.value,
          .s_churn = request.sigma_churn.value,
          .s_tmin = request.sigma_tmin.value,
          .s_tmax = request.sigma_tmax.value == 0 ? std::numeric_limits<double>::infinity()
                                                  : request.sigma_tmax.value,
          .s_noise = request.sigma_noise.value};
}

}  // namespace

SamplingPlan plan_sampling(const request::GenerationRequest& request, formats::PredictionType prediction) {
  const auto choice =
      sampling::resolve_sampler(request.sampler, request.scheduler, sampling::AutomaticSchedule::kKeepNamed);
  if (!choice.sampler_known)
    throw Error(kBadInput, "unknown sampler '{}'; choose one of {}.", request.sampler,
                labels(sampling::sampler_table()));
  if (!choice.schedule_known)
    throw Error(kBadInput, "unknown schedule '{}'; choose one of {}.", request.scheduler,
                labels(sampling::schedule_table()));
  const auto rng = sampling::find_rng(request.rng);
  if (!rng)
    throw Error(kBadInput, "unknown source of random numbers '{}'; choose GPU, NV or CPU.", request.rng);
  SamplingPlan plan{.sampler = choice.sampler, .schedule = choice.schedule, .rng = *rng, .sample = {}};
  plan.sample = {
      .schedule = choice.schedule,
      .steps = request.steps,
      .schedule_settings = {.sigma_min = request.sigma_min.value,
                            .sigma_max = request.sigma_max.value,
                            .rho = request.rho.value,
                            .beta_alpha = request.beta_alpha.value,
                            .beta_beta = request.beta_beta.value},
      .sampler_settings = settings(request, *choice.sampler),
      .always_discard_next_to_last_sigma = request.discard_penultimate_sigma,
      .sgm_noise_multiplier = request.sgm_noise_multiplier,
      .table = noise_table(request),
      .prediction = prediction,
      .guidance = {.scale = request.cfg_scale.value,
                   .weights = {},
                   .skip_early = request.skip_early_cfg.value,
                   .s_min_uncond = request.ngms.value,
                   .s_min_uncond_all = request.ngms_all_steps},
  };
  return plan;
}

std::string_view schedule_label(const SamplingPlan& plan) {
  if (plan.schedule->make != nullptr || plan.sampler->is_timestep || plan.sampler->schedule.empty())
    return plan.schedule->label;
  const sampling::ScheduleRow* automatic = sampling::find_schedule(plan.sampler->schedule);
  return automatic != nullptr ? automatic->label : plan.schedule->label;
}

}  // namespace lowrank::pipeline
