#include "training/objective/lora_loss.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "training/objective/diffusion_loss.h"

namespace lowrank::training {
namespace {

at::Tensor target_of(const NoisedBatch& batch, formats::PredictionType prediction, const at::Tensor& alphas) {
  switch (prediction) {
    case formats::PredictionType::kEpsilon:
      return batch.noise;
    case formats::PredictionType::kV:
      break;
    case formats::PredictionType::kFlow:
      throw Error(kUnsupported,
                  "training on a checkpoint of rectified flow is not supported; take one that predicts "
                  "epsilon or v.");
  }
  const at::Tensor a = alphas.index_select(0, batch.timesteps).view({-1, 1, 1, 1});
  return a.sqrt() * batch.noise - (1 - a).sqrt() * batch.latents;
}

at::Tensor weight_of(const NoisedBatch& batch, formats::PredictionType prediction, double gamma,
                     const at::Tensor& all_snr) {
  if (gamma <= 0) return at::ones({batch.timesteps.size(0)});
  const at::Tensor snr = all_snr.index_select(0, batch.timesteps);
  return snr.clamp_max(gamma) / (prediction == formats::PredictionType::kV ? snr + 1 : snr);
}

}  // namespace

NoiseSchedule noise_schedule(bool has_zero_terminal_snr) {
  const at::Tensor alphas = alphas_cumprod();
  return {has_zero_terminal_snr ? zero_terminal_snr(alphas) : alphas, alphas / (1 - alphas)};
}

at::Tensor diffusion_loss(const model::DiffusionModel& network, const NoisedBatch& batch,
                          formats::PredictionType prediction, double min_snr_gamma,
                          const NoiseSchedule& schedule) {
  const at::Tensor noisy = add_noise(batch.latents, batch.noise, batch.timesteps, schedule.alphas);
  const at::Tensor predicted =
      network.forward(noisy, batch.timesteps.to(at::kFloat), batch.conditioning).to(at::kFloat);
  return weighted_mse(predicted, target_of(batch, prediction, schedule.alphas),
                      weight_of(batch, prediction, min_snr_gamma, schedule.snr), batch.loss_weights);
}

}  // namespace lowrank::training
