// What a sampler needs besides the denoiser: noise, its numbers, and someone to tell about each finished
// step.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <limits>
#include <optional>
#include <stop_token>

#include "sampling/noise.h"

namespace lowrank::sampling {

// A finished step: `step` of `steps`, counted from 1, and the denoised latent [n, 4, h, w] it was made from
// (a preview). `steps` is 0 where the number is not known beforehand (DPM adaptive).
struct StepReport {
  int step;
  int steps;
  const at::Tensor& denoised;
};
using StepListener = std::function<void(const StepReport&)>;

enum class UniPcVariant { kBh1, kBh2 };
enum class UniPcSpacing { kTimeUniform, kTimeQuadratic, kLogSnr };

// A1111's sampler settings. A sampler that has no such parameter in A1111 ignores it (SamplerRow says which).
struct SamplerSettings {
  std::optional<double> eta = std::nullopt;  // share of fresh noise; nullopt: SamplerRow::default_eta
  double s_churn = 0;  // extra noise spread over the steps with s_tmin ≤ sigma ≤ s_tmax
  double s_tmin = 0;
  double s_tmax = std::numeric_limits<double>::infinity();  // A1111 writes infinity as 0
  double s_noise = 1;                                       // scale of fresh noise
  UniPcVariant unipc_variant = UniPcVariant::kBh1;
  UniPcSpacing unipc_spacing = UniPcSpacing::kTimeUniform;
  int unipc_order = 3;  // ≤ steps
  bool unipc_lower_order_final = true;
};

class StepContext {
 public:
  StepContext(NoiseSource& noise, const SamplerSettings& settings, StepListener listener,
              std::stop_token stop);

  const SamplerSettings settings;
  double eta() const { return settings.eta.value_or(1); }
  at::Tensor noise() { return noise_.next(); }
  at::Tensor noise_between(float from, float to) { return noise_.between(from, to); }

  void begin(int steps) { steps_ = steps; }
  // Reports the step. Throws Error(kCancelled) on a stop request.
  void step_done(const at::Tensor& denoised);

 private:
  NoiseSource& noise_;
  StepListener listener_;
  std::stop_token stop_;
  int step_ = 0, steps_ = 0;
};

}  // namespace lowrank::sampling
