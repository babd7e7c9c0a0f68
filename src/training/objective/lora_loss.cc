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
                     const at::Tensor& alphas) {
  const at::Tensor weight = min_snr_weight(batch.timesteps, alphas, gamma);
  if (prediction == formats::PredictionType::kEpsilon || gamma <= 0) return weight;
  // min(SNR, γ) / (SNR + 1) = min(SNR, γ) / SNR · ᾱ, as SNR / (SNR + 1) = ᾱ.
  return weight * alphas.index_select(0, batch.timesteps);
}

}  // namespace

at::Tensor diffusion_loss(const model::DiffusionModel& network, const NoisedBatch& batch,
                          formats::PredictionType prediction, double min_snr_gamma,
                          const at::Tensor& alphas) {
  const at::Tensor noisy = add_noise(batch.latents, batch.noise, batch.timesteps, alphas);
  const at::Tensor predicted =
      network.forward(noisy, batch.timesteps.to(at::kFloat), batch.conditioning).to(at::kFloat);
  return weighted_mse(predicted, target_of(batch, prediction, alphas),
                      weight_of(batch, prediction, min_snr_gamma, alphas));
}

}  // namespace lowrank::training
