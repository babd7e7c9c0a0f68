#include "training/objective/diffusion_loss.h"

#include <ATen/ATen.h>

#include <cmath>

#include "formats/family.h"

namespace lowrank::training {

at::Tensor alphas_cumprod() {
  const auto& law = formats::kNoiseLaw;
  const at::Tensor betas =
      at::linspace(std::sqrt(law.first_beta), std::sqrt(law.last_beta), law.steps, at::kDouble).square();
  return at::cumprod(1 - betas, 0).to(at::kFloat);
}

at::Tensor zero_terminal_snr(const at::Tensor& alphas) {
  const at::Tensor roots = alphas.to(at::kDouble).sqrt();
  const at::Tensor first = roots[0], last = roots[-1];
  return ((roots - last) * (first / (first - last))).square().to(at::kFloat);
}

at::Tensor add_noise(const at::Tensor& latents, const at::Tensor& noise, const at::Tensor& timesteps,
                     const at::Tensor& alphas) {
  const at::Tensor a = alphas.index_select(0, timesteps).view({-1, 1, 1, 1});
  return a.sqrt() * latents + (1 - a).sqrt() * noise;
}

at::Tensor truncated_snr_weight(const at::Tensor& timesteps, const at::Tensor& alphas, double low,
                                double high) {
  const at::Tensor a = alphas.index_select(0, timesteps);
  const at::Tensor snr = a / (1 - a);
  return snr.clamp(low, high) / snr;
}

at::Tensor weighted_mse(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& weight,
                        const at::Tensor& places) {
  at::Tensor error = (prediction - target).square();
  if (places.defined()) error = error * places;
  return (error.flatten(1).mean(1) * weight).mean();
}

}  // namespace lowrank::training
