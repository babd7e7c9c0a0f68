// The denoising objective (Ho et al. 2020, arXiv:2006.11239) in Stable Diffusion's form, with min-SNR weighting
// (Hang et al. 2023, arXiv:2303.09556).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowrank::training {

// ᾱ of the 1000 training timesteps, float32 [1000]: β as formats::kNoiseLaw says.
at::Tensor alphas_cumprod();

// The same moved and stretched so that the last timestep is noise alone: √ᾱ' = (√ᾱ − √ᾱ_last) · √ᾱ_0 / (√ᾱ_0 − √ᾱ_last).
// Source: Lin et al. 2023 (arXiv:2305.08891), algorithm 1.
at::Tensor zero_terminal_snr(const at::Tensor& alphas);

// x_t = √ᾱ_t · x₀ + √(1−ᾱ_t) · ε for latents x₀ [B, …], noise ε alike, timesteps int64 [B].
at::Tensor add_noise(const at::Tensor& latents, const at::Tensor& noise, const at::Tensor& timesteps,
                     const at::Tensor& alphas);

// Weight of each sample's squared error in ε, min-SNR with a floor: clamp(SNR, low, high) / SNR with SNR = ᾱ / (1−ᾱ), so that the error in x₀ never weighs less than `low`. In ε alone
// the noisiest steps, which must take the picture's colours and layout from the caption, weigh next to nothing
// ("truncated SNR", Salimans & Ho 2022, arXiv:2202.00512).
at::Tensor truncated_snr_weight(const at::Tensor& timesteps, const at::Tensor& alphas, double low,
                                double high);

// Mean over the batch of weight · mean squared error, float32 scalar. weight [B]. `places`, float32 [B, 1, h, w]: a factor of
// each place's squared error; undefined: 1.
at::Tensor weighted_mse(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& weight,
                        const at::Tensor& places = {});

}  // namespace lowrank::training
