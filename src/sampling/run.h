// Sampling in one call: plan the walk, bring the noise to its first level, walk. plan_walk() and walk() are
// the two halves, for callers with sigmas of their own.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <stop_token>

#include "sampling/denoiser.h"
#include "sampling/noise.h"
#include "sampling/sampler_table.h"
#include "sampling/schedules.h"
#include "sampling/step_context.h"

namespace lowrank::sampling {

// Where a walk begins that does not begin with noise alone: img2img, inpainting, the second pass of hires fix.
struct ImageStart {
  at::Tensor latent;       // z [n, 4, h, w]
  double strength = 0.75;  // 0 … 1: how far back towards noise
  // The schedule is lengthened so that `steps` steps run, whatever the strength
  bool makes_all_steps = false;
  double noise_multiplier = 1, extra_noise = 0;
  // Inpainting: 1 where the picture is made anew, 0 where z stays; broadcasts to z. Undefined: 1 everywhere.
  at::Tensor repaint;
};

struct SampleRequest {
  const ScheduleRow* schedule = nullptr;  // nullptr or Automatic: the sampler's own
  int steps = 20;
  ScheduleSettings schedule_settings = {};
  SamplerSettings sampler_settings = {};
  bool always_discard_next_to_last_sigma = false;
  bool sgm_noise_multiplier = false;  // start at ξ·√(1+sigma²) instead of ξ·sigma
  bool quantize_timesteps = false;    // "enable quantization in K samplers"
  // After downcast() and zero_terminal_snr(), if asked for
  NoiseTable table = NoiseTable::stable_diffusion();
  Prediction prediction = Prediction::kEpsilon;
  Guidance guidance = {};  // total_calls is filled in
  std::optional<ImageStart> image = std::nullopt;
};

struct SampleResult {
  at::Tensor latent;                                   // [n, 4, h, w] float32, in the model's latent units
  int calls = 0;                                       // of the model
  bool skipped_early = false;                          // Skip Early CFG had an effect
  bool skipped_by_sigma = false;                       // NGMS had an effect
  std::optional<Prediction> likelier_prediction = {};  // the first answer looked like this one instead
};

// Draws the start noise from `noise` and runs `sampler` from there, or from request.image with that noise on
// it. No gradients are recorded. Throws Error(kCancelled) within a step of a stop request, Error(kBadInput)
// for impossible numbers.
SampleResult run_sampler(const SamplerRow& sampler, const SampleRequest& request, NoiseModel& model,
                         NoiseSource& noise, const StepListener& listener = {}, std::stop_token stop = {});

// The noise table this sampler works with (LCM and quantization change it).
NoiseTable sampler_noise_table(const SamplerRow& sampler, const SampleRequest& request);

// The levels for request.steps steps. Throws Error(kBadInput) when the sampler cannot make that many,
// kUnsupported for a sampler or setting that does not go with a rectified flow.
Walk plan_walk(const SamplerRow& sampler, const SampleRequest& request);

// The steps of img2img: `schedule` steps are planned, of which the last `made` run.
//   usually       schedule = steps,                     made = ⌊min(strength, 0.999)·steps⌋ + 1
//   all steps     schedule = ⌊steps/min(strength, 0.999)⌋, made = steps; nothing (0, 0) for a strength of 0
// Source: A1111's setup_img2img_steps.
struct ImageSteps {
  int schedule = 0, made = 0;
};
ImageSteps image_steps(int steps, double strength, bool makes_all_steps);

// The last `made` steps of a walk planned for steps.schedule steps.
Walk cut_walk(const SamplerRow& sampler, const Walk& whole, const ImageSteps& steps);

// z with unit noise on it at the first level of a walk cut from `whole`:
//   sigma samplers      z + ξ·(sigma + extra), in a flow's times (z + ξ·extra)·(1 − t) + ξ·t
//   timestep samplers   √ᾱ·(z + ξ·extra) + √(1−ᾱ)·ξ,  ᾱ at T[made − 1], of a schedule's timesteps at T[made]
at::Tensor start_from_image(const SamplerRow& sampler, const Walk& whole, const Walk& cut,
                            const ImageSteps& steps, const NoiseTable& table, const ImageStart& start,
                            const at::Tensor& unit_noise);

// n for prompt editing, the refiner and Skip Early CFG: steps, doubled for second-order samplers.
int planned_calls(const SamplerRow& sampler, int steps);

// The unit noise [n, 4, h, w] brought to the first level of the walk.
at::Tensor start_latent(const SamplerRow& sampler, const Walk& walk, const at::Tensor& unit_noise,
                        bool sgm_noise_multiplier);

// Walks from `x`, which lies at the first level. `whole_schedule` gives the range of Brownian noise (img2img:
// the schedule before cutting). Settings that A1111 does not pass to this sampler are set to their neutral value.
at::Tensor walk(const SamplerRow& sampler, Denoiser& denoiser, at::Tensor x, const Walk& walk,
                std::span<const float> whole_schedule, NoiseSource& noise, const SamplerSettings& settings,
                const StepListener& listener = {}, std::stop_token stop = {});

}  // namespace lowrank::sampling
