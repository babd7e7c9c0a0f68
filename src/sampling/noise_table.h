// The training noise of a model as a table: for each of its 1000 timesteps the kept signal ᾱ and the noise
// level sigma, and the two-way interpolation between sigma and timestep that all samplers share. Immutable
// once made. Sigma is the noise beside a latent of unit weight: the model's own input is x₀ + sigma·ξ, scaled.
#pragma once

#include <span>
#include <vector>

namespace lowrank::sampling {

class NoiseTable {
 public:
  // SD 1.x, 2.x and SDXL: beta = linspace(√first, √last, steps)² of formats::kNoiseLaw in float64, ᾱ = Π(1 − beta), then float32.
  // Source: "scaled linear" of latent diffusion (CompVis/stable-diffusion configs).
  static NoiseTable stable_diffusion();

  // From any ᾱ, one per timestep, falling inside (0, 1). Throws Error(kBadInput) naming the first bad entry.
  static NoiseTable from_alphas_cumprod(std::vector<float> alphas_cumprod);

  // Rectified flow: the model's own input is (1 − t)·x₀ + t·ξ, so sigma = t/(1 − t), and it is told the time 1000·t. The table
  // holds u = 1/1000 … 1 as t = shift·u/(1 + (shift − 1)·u); the level of t = 1, noise alone, is infinite and stands as 10000.
  // Throws Error(kBadInput) for a shift that is not positive.
  // Source: arXiv:2403.03206 section 5.3.2; times and levels as diffusers' FlowMatchEulerDiscreteScheduler and ComfyUI's
  // ModelSamplingDiscreteFlow have them.
  static NoiseTable rectified_flow(double shift);

  // "Downcast alphas_cumprod": ᾱ rounded to half precision, the rest as usual. Applied before
  // zero_terminal_snr().
  NoiseTable downcast() const;

  // "Zero Terminal SNR": with a = √ᾱ, a ← (a − a_last)·a₀/(a₀ − a_last), ᾱ = a², and the last ᾱ, which would
  // be 0, is 4.8973451890853435e-08 (sigma about 4518.76). Source: arXiv:2305.08891 alg. 1; the constant is
  // A1111's.
  NoiseTable zero_terminal_snr() const;

  // The table of latent consistency models: every 20th entry, timesteps 19, 39, … 999; sigma → timestep is
  // then the nearest entry, never between two. Requires a plain table of 1000 entries.
  NoiseTable lcm() const;

  // With it, sigma → timestep gives the nearest whole timestep ("enable quantization in K samplers").
  NoiseTable quantized() const;

  // The table of a rectified flow with its levels as times t in (0, 1]: sigma means t then.
  NoiseTable as_flow_times() const;
  // t → sigma, at most 10000.
  static float sigma_of_flow_time(float t);

  // Timestep of a noise level, float, fractional: linear in ln sigma between neighbours, clamped to the
  // table. Of a rectified flow: 1000·t.
  float timestep_of(float sigma) const;
  // Noise level at a fractional timestep inside the table: exp of the linear interpolation of ln sigma. Of a rectified flow: that
  // of u = timestep/1000, shifted.
  float sigma_at(float timestep) const;

  float sigma_min() const { return sigmas_.front(); }
  float sigma_max() const { return sigmas_.back(); }
  std::span<const float> alphas_cumprod() const { return alphas_cumprod_; }
  std::span<const float> sigmas() const { return sigmas_; }  // rising with the index; √((1−ᾱ)/ᾱ) in float32
  std::span<const float> log_sigmas() const { return log_sigmas_; }
  bool is_lcm() const { return stride_ != 1; }
  bool is_flow() const { return flow_ != Flow::kNone; }
  bool is_in_flow_times() const { return flow_ == Flow::kTimes; }

 private:
  enum class Flow { kNone, kSigmas, kTimes };  // what sigmas_ holds of a rectified flow
  NoiseTable() = default;
  NoiseTable(std::vector<float> alphas_cumprod, int stride, bool nearest);
  std::vector<float> alphas_cumprod_, sigmas_, log_sigmas_;
  int stride_ = 1;  // training timesteps per entry; entry i is timestep i·stride + stride − 1
  bool nearest_ = false;
  Flow flow_ = Flow::kNone;
  double shift_ = 1;
};

}  // namespace lowrank::sampling
