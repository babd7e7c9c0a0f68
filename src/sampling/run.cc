#include "sampling/run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace lowrank::sampling {
namespace {

constexpr int kTrainingTimesteps = 1000;

const ScheduleRow& sampler_schedule(const SamplerRow& sampler, const SampleRequest& request) {
  const ScheduleRow* schedule = request.schedule;
  // TCD has no list of A1111's to fall back on.
  const bool fits = schedule != nullptr &&
                    (!sampler.is_timestep || (schedule->is_of_timesteps && !sampler.has_own_spacing));
  if (!fits || schedule->make == nullptr)
    schedule = find_schedule(sampler.schedule.empty() ? "uniform" : sampler.schedule);
  return *schedule;
}

// 0, k, 2k … < 1000 with k = 1000 div steps, each + 1, at most 999.
std::vector<int> timestep_list(int steps) {
  if (steps > kTrainingTimesteps) {
    throw Error(kBadInput, "steps is {}, but this sampler supports at most {}.", steps, kTrainingTimesteps);
  }
  std::vector<int> timesteps;
  for (int t = 0; t < kTrainingTimesteps; t += kTrainingTimesteps / steps) {
    timesteps.push_back(std::min(t + 1, kTrainingTimesteps - 1));
  }
  return timesteps;
}

void check_settings(const SamplerSettings& s) {
  if (!(std::isfinite(s.eta.value_or(0)) && std::isfinite(s.s_noise) && std::isfinite(s.s_churn) &&
        s.s_churn >= 0)) {
    throw Error(kBadInput,
                "eta, sigma churn and sigma noise are {}, {} and {}, but they must be finite, and churn must "
                "not be negative.",
                s.eta.value_or(0), s.s_churn, s.s_noise);
  }
}

// A1111 hands each sampler only the parameters that its list names.
SamplerSettings settings_for(const SamplerRow& sampler, SamplerSettings settings) {
  const SamplerSettings neutral;
  if (!sampler.has_eta || !settings.eta) settings.eta = sampler.default_eta;
  if (!sampler.has_s_noise) settings.s_noise = neutral.s_noise;
  if (!sampler.has_churn) settings.s_churn = neutral.s_churn;
  return settings;
}

// The whole timesteps of a schedule that has such, as a rising list with the target of the last step, 0, in front.
std::vector<int> timesteps_of(std::span<const float> sigmas, const NoiseTable& table) {
  std::vector<int> timesteps = {0};
  const auto levels = table.sigmas();
  for (std::size_t i = sigmas.size() - 1; i-- > 0;)
    timesteps.push_back(static_cast<int>(std::ranges::find(levels, sigmas[i]) - levels.begin()));
  return timesteps;
}

void check_flow(const SamplerRow& sampler, const SampleRequest& request) {
  if (!request.table.is_flow()) return;
  if (sampler.flow == request::FlowWalk::kNone)
    throw Error(
        kUnsupported,
        "the sampler {} does not work with rectified flow; choose another one, such as Euler or DPM++ 2M.",
        sampler.label);
  if (sampler.has_churn && request.sampler_settings.s_churn > 0)
    throw Error(kUnsupported,
                "sigma churn does not work with rectified flow; set it to 0, or choose Euler a.");
}

}  // namespace

NoiseTable sampler_noise_table(const SamplerRow& sampler, const SampleRequest& request) {
  // The times of a flow lie between the entries of any list.
  if (request.table.is_flow())
    return sampler.flow == request::FlowWalk::kTimes ? request.table.as_flow_times() : request.table;
  if (sampler.is_lcm) return request.table.lcm();
  return request.quantize_timesteps && !sampler.is_timestep ? request.table.quantized() : request.table;
}

Walk plan_walk(const SamplerRow& sampler, const SampleRequest& request) {
  if (request.steps < 1) throw Error(kBadInput, "steps is {}, but at least 1 is needed.", request.steps);
  check_flow(sampler, request);
  const bool discards = sampler.discard_next_to_last_sigma || request.always_discard_next_to_last_sigma;
  const int steps = request.steps + (discards ? 1 : 0);
  const NoiseTable table = sampler_noise_table(sampler, request);
  Walk walk{.sigmas = {},
            .timesteps = {},
            .stride = 0,
            .is_scheduled = false,
            .sigma_min = table.sigma_min(),
            .sigma_max = table.sigma_max(),
            .steps = request.steps,
            .from_image = false};
  const ScheduleRow& schedule = sampler_schedule(sampler, request);
  if (sampler.is_timestep && !schedule.is_of_timesteps) {
    walk.timesteps = timestep_list(steps);
    return walk;
  }
  walk.sigmas = make_schedule(schedule, table, steps, request.schedule_settings);
  if (discards) walk.sigmas.erase(walk.sigmas.end() - 2);
  if (!sampler.is_timestep) return walk;
  walk.is_scheduled = true;
  walk.timesteps = timesteps_of(std::exchange(walk.sigmas, {}), table);
  walk.stride = schedule.has_even_targets ? kTrainingTimesteps / steps : 0;
  return walk;
}

int planned_calls(const SamplerRow& sampler, int steps) {
  return sampler.second_order ? 2 * steps : steps;
}

at::Tensor start_latent(const SamplerRow& sampler, const Walk& walk, const at::Tensor& unit_noise,
                        bool sgm_noise_multiplier) {
  if (sampler.is_timestep) return unit_noise;
  const float sigma = walk.sigmas.front();
  return unit_noise * (sgm_noise_multiplier ? std::sqrt(1 + sigma * sigma) : sigma);
}

at::Tensor walk(const SamplerRow& sampler, Denoiser& denoiser, at::Tensor x, const Walk& walk,
                std::span<const float> whole_schedule, NoiseSource& noise, const SamplerSettings& settings,
                const StepListener& listener, std::stop_token stop) {
  const at::NoGradGuard no_grad;
  check_settings(settings);
  if (sampler.brownian) {
    float low = 0, high = 0;
    for (const float sigma : whole_schedule) {
      if (sigma > 0 && (low == 0 || sigma < low)) low = sigma;
      high = std::max(high, sigma);
    }
    noise.set_sigma_range(low, high);
  }
  StepContext context(noise, settings_for(sampler, settings), listener, std::move(stop));
  return sampler.run(denoiser, std::move(x), walk, context);
}

ImageSteps image_steps(int steps, double strength, bool makes_all_steps) {
  const double limited = std::min(strength, 0.999);
  if (!makes_all_steps) return {steps, static_cast<int>(limited * steps) + 1};
  if (strength <= 0) return {0, 0};
  return {static_cast<int>(steps / limited), steps};
}

Walk cut_walk(const SamplerRow& sampler, const Walk& whole, const ImageSteps& steps) {
  Walk cut = whole;
  cut.from_image = true;
  if (sampler.is_timestep) {
    cut.timesteps.resize(static_cast<std::size_t>(steps.made - (whole.is_scheduled ? -1 : 1)));
    return cut;
  }
  cut.sigmas.erase(cut.sigmas.begin(), cut.sigmas.begin() + (steps.schedule - steps.made));
  // DPM fast and adaptive walk between two levels; the last, 0, is none for them.
  cut.sigma_max = cut.sigmas.front();
  cut.sigma_min = cut.sigmas[cut.sigmas.size() - 2];
  cut.steps = static_cast<int>(cut.sigmas.size()) - 1;
  return cut;
}

at::Tensor start_from_image(const SamplerRow& sampler, const Walk& whole, const Walk& cut,
                            const ImageSteps& steps, const NoiseTable& table, const ImageStart& start,
                            const at::Tensor& unit_noise) {
  const at::Tensor noise = start.noise_multiplier == 1 ? unit_noise : unit_noise * start.noise_multiplier;
  if (!sampler.is_timestep) {
    const float sigma = cut.sigmas.front();
    if (table.is_in_flow_times())
      return (start.latent + noise * start.extra_noise) * (1 - sigma) + noise * sigma;
    const at::Tensor x = start.latent + noise * sigma;
    return start.extra_noise > 0 ? x + noise * start.extra_noise : x;
  }
  // A1111's list is cut one step below the level where it begins; a schedule begins at its own.
  const int timestep = whole.timesteps[static_cast<std::size_t>(steps.made - (whole.is_scheduled ? 0 : 1))];
  const float alpha = table.alphas_cumprod()[static_cast<std::size_t>(timestep)];
  const at::Tensor x = start.latent * std::sqrt(alpha) + noise * std::sqrt(1 - alpha);
  return start.extra_noise > 0 ? x + noise * (start.extra_noise * std::sqrt(alpha)) : x;
}

SampleResult run_sampler(const SamplerRow& sampler, const SampleRequest& asked, NoiseModel& model,
                         NoiseSource& noise, const StepListener& listener, std::stop_token stop) {
  const at::NoGradGuard no_grad;
  SampleRequest request = asked;
  ImageSteps steps{.schedule = request.steps, .made = request.steps};
  if (request.image) {
    steps = image_steps(request.steps, request.image->strength, request.image->makes_all_steps);
    if (steps.made == 0) return {.latent = request.image->latent};
    request.steps = steps.schedule;
  }
  const Walk whole = plan_walk(sampler, request);
  Guidance guidance = request.guidance;
  guidance.total_calls = planned_calls(sampler, steps.made);
  Denoiser denoiser(model, sampler_noise_table(sampler, request), request.prediction, std::move(guidance),
                    stop);
  at::Tensor x = noise.next();
  Walk way = whole;
  if (request.image) {
    way = cut_walk(sampler, whole, steps);
    x = start_from_image(sampler, whole, way, steps, denoiser.table(), *request.image, x);
    if (request.image->repaint.defined()) denoiser.keep(request.image->latent, request.image->repaint);
  } else {
    // A rectified flow begins with noise alone as it is.
    x = start_latent(sampler, way, x, request.sgm_noise_multiplier && !denoiser.table().is_flow());
  }
  at::Tensor latent = walk(sampler, denoiser, std::move(x), way, whole.sigmas, noise,
                           request.sampler_settings, listener, stop);
  return {.latent = denoiser.with_kept(latent),
          .calls = denoiser.calls(),
          .skipped_early = denoiser.skipped_early(),
          .skipped_by_sigma = denoiser.skipped_by_sigma(),
          .likelier_prediction = denoiser.likelier_prediction_seen()};
}

}  // namespace lowrank::sampling
