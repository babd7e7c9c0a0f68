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

struct Prediction {
  formats::PredictionType type;
  formats::PredictionDetails details;
};

Prediction chosen_prediction(const request::GenerationRequest& request, const Prediction& own) {
  if (request.prediction.empty() || request.prediction == "Automatic") return own;
  const auto asked = formats::prediction_named(request.prediction);
  if (!asked)
    throw Error(kBadInput, "unknown prediction type '{}'; choose Automatic, epsilon, v or flow.",
                request.prediction);
  return *asked == own.type ? own : Prediction{*asked, {}};
}

sampling::NoiseTable noise_table(const request::GenerationRequest& request, const Prediction& prediction) {
  if (prediction.type == formats::PredictionType::kFlow)
    return sampling::NoiseTable::rectified_flow(request.flow_shift.value > 0 ? request.flow_shift.value
                                                                             : prediction.details.flow_shift);
  auto table = sampling::NoiseTable::stable_diffusion();
  if (request.downcast_alphas) table = table.downcast();
  if (request.noise_schedule == "Zero Terminal SNR") return table.zero_terminal_snr();
  if (request.noise_schedule != "Default")
    throw Error(kBadInput, "unknown noise schedule '{}'; choose Default or Zero Terminal SNR.",
                request.noise_schedule);
  return prediction.details.zero_terminal_snr ? table.zero_terminal_snr() : table;
}

sampling::SamplerSettings settings(const request::GenerationRequest& request,
                                   const sampling::SamplerRow& sampler) {
  const request::Decimal eta = request.eta.value_or(
      sampler.default_eta == 0 ? request.eta_ddim : request::Decimal(sampler.default_eta));
  return {.eta = eta.value,
          .s_churn = request.sigma_churn.value,
          .s_tmin = request.sigma_tmin.value,
          .s_tmax = request.sigma_tmax.value == 0 ? std::numeric_limits<double>::infinity()
                                                  : request.sigma_tmax.value,
          .s_noise = request.sigma_noise.value};
}

}  // namespace

SamplingPlan plan_sampling(const request::GenerationRequest& request, formats::PredictionType type,
                           const formats::PredictionDetails& details) {
  const Prediction prediction = chosen_prediction(request, {type, details});
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
      .table = noise_table(request, prediction),
      .prediction = prediction.type,
      .guidance = {.scale = request.cfg_scale.value,
                   .weights = {},
                   .skip_early = request.skip_early_cfg.value,
                   .s_min_uncond = request.ngms.value,
                   .s_min_uncond_all = request.ngms_all_steps},
  };
  return plan;
}

std::string_view schedule_label(const SamplingPlan& plan) {
  if (plan.schedule->make != nullptr || plan.sampler->schedule.empty()) return plan.schedule->label;
  const sampling::ScheduleRow* automatic = sampling::find_schedule(plan.sampler->schedule);
  return automatic != nullptr ? automatic->label : plan.schedule->label;
}

}  // namespace lowrank::pipeline
