// Sampling in one call: plan the walk, bring the noise to its first level, walk. plan_walk() and walk() are
// the two halves, for callers with sigmas of their own.
#pragma once

#include <ATen/core/Tensor.h>

#include <stop_token>

#include "sampling/denoiser.h"
#include "sampling/noise.h"
#include "sampling/sampler_table.h"
#include "sampling/schedules.h"
#include "sampling/step_context.h"

namespace lowrank::sampling {

struct SampleRequest {
  const ScheduleRow* schedule = nullptr;  // nullptr or Automatic: the sampler's own
  int steps = 20;
  ScheduleSettings schedule_settings = {};
  SamplerSettings sampler_settings = {};
  bool always_discard_next_to_last_sigma = false;
  bool sgm_noise_multiplier = false;  // start at ξ·√(1+sigma²) instead of ξ·sigma
  bool quantize_timesteps = false;    // "enable quantization in K samplers"
  NoiseTable table =
      NoiseTable::stable_diffusion();  // after downcast() and zero_terminal_snr(), if asked for
  Prediction prediction = Prediction::kEps;
  Guidance guidance = {};  // total_calls is filled in
};

struct SampleResult {
  at::Tensor latent;              // [n, 4, h, w] float32, in the model's latent units
  int calls = 0;                  // of the model
  bool skipped_early = false;     // Skip Early CFG had an effect
  bool skipped_by_sigma = false;  // NGMS had an effect
};

// txt2img: draws the start noise from `noise` and runs `sampler`. No gradients are recorded.
// Throws Error(kCancelled) within a step of a stop request, Error(kBadInput) for impossible numbers.
SampleResult run_sampler(const SamplerRow& sampler, const SampleRequest& request, NoiseModel& model,
                         NoiseSource& noise, const StepListener& listener = {}, std::stop_token stop = {});

// The noise table this sampler works with (LCM and quantization change it).
NoiseTable sampler_noise_table(const SamplerRow& sampler, const SampleRequest& request);

// The levels for request.steps steps. Throws Error(kBadInput) when the sampler cannot make that many.
Walk plan_walk(const SamplerRow& sampler, const SampleRequest& request);

// n for prompt editing, the refiner and Skip Early CFG: steps, doubled for second-order samplers.
int planned_calls(const SamplerRow& sampler, int steps);

// The unit noise [n, 4, h, w] brought to the first level of the walk.
at::Tensor start_latent(const SamplerRow& sampler, const Walk& walk, const at::Tensor& unit_noise,
                        bool sgm_noise_multiplier);

// Walks from `x`, which lies at the first level. `whole_schedule` gives the range of Brownian noise (img2img:
// the schedule before cutting). Settings that A1111 does not pass to this sampler are set to their neutral
// value.
at::Tensor walk(const SamplerRow& sampler, Denoiser& denoiser, at::Tensor x, const Walk& walk,
                std::span<const float> whole_schedule, NoiseSource& noise, const SamplerSettings& settings,
                const StepListener& listener = {}, std::stop_token stop = {});

}  // namespace lowrank::sampling
