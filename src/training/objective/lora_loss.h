// One evaluation of the training objective for a LoRA: noise is added to latents, the network with its adapter
// predicts it.
#pragma once

#include <ATen/core/Tensor.h>

#include "formats/checkpoint/checkpoint.h"
#include "model/diffusion_model.h"

namespace lowrank::training {

// What one forward pass sees. B pictures of one size.
struct NoisedBatch {
  at::Tensor latents;    // x₀, float32 [B, 4, h, w], scaled
  at::Tensor noise;      // ε, alike
  at::Tensor timesteps;  // int64 [B], 0 … 999
  model::Conditioning conditioning;
  double share = 1;              // of a batch that several processes compute together
  at::Tensor loss_weights = {};  // of each place's squared error, float32 [B, 1, h, w]; undefined: 1
};

// How noise is added, and how its error is weighed.
struct NoiseSchedule {
  at::Tensor alphas;  // ᾱ, float32 [1000]
  at::Tensor
      snr;  // ᾱ / (1 − ᾱ) of the noise law, float32 [1000]: also of a schedule with zero terminal SNR, as
            // kohya's trainer takes it before it changes the schedule
};
NoiseSchedule noise_schedule(bool has_zero_terminal_snr);

// Mean over the batch of w · mean squared error between prediction and target, float32 scalar with a graph.
//   eps models  target ε                          w = min(SNR, γ) / SNR
//   v models    target √ᾱ ε − √(1−ᾱ) x₀          w = min(SNR, γ) / (SNR + 1)
// γ ≤ 0: w = 1. With loss weights each place's squared error is multiplied by its own before the mean over all places, so
// that a picture with a small mask counts less, as with kohya's trainer.
// Sources: Salimans & Ho 2022 (arXiv:2202.00512) for v; Hang et al. 2023 (arXiv:2303.09556) for w.
at::Tensor diffusion_loss(const model::DiffusionModel& network, const NoisedBatch& batch,
                          formats::PredictionType prediction, double min_snr_gamma,
                          const NoiseSchedule& schedule);

}  // namespace lowrank::training
