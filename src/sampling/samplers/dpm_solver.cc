#include "sampling/samplers/dpm_solver.h"

#include <algorithm>
#include <utility>

#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

DpmSolverStep::DpmSolverStep(Denoiser& denoiser, at::Tensor x, float t)
    : denoiser_(denoiser), x_(std::move(x)), t_(t), eps_(eps_at(x_, t)) {}

at::Tensor DpmSolverStep::eps_at(const at::Tensor& x, float t) {
  return derivative(x, sigma_of(t), denoiser_.denoise(x, sigma_of(t)));
}

at::Tensor DpmSolverStep::denoised() const {
  return x_ - eps_ * sigma_of(t_);
}

const at::Tensor& DpmSolverStep::first_inner(float r1, float h) {
  if (!eps_inner_.defined()) {
    const float s1 = t_ + r1 * h;
    eps_inner_ = eps_at(x_ - eps_ * (sigma_of(s1) * std::expm1(r1 * h)), s1);
  }
  return eps_inner_;
}

at::Tensor DpmSolverStep::first_order(float t_next) {
  return x_ - eps_ * (sigma_of(t_next) * std::expm1(t_next - t_));
}

at::Tensor DpmSolverStep::second_order(float t_next, float r1) {
  const float h = t_next - t_, sigma = sigma_of(t_next);
  const at::Tensor& inner = first_inner(r1, h);
  return x_ - eps_ * (sigma * std::expm1(h)) - (inner - eps_) * (sigma / (2 * r1) * std::expm1(h));
}

at::Tensor DpmSolverStep::third_order(float t_next) {
  constexpr float r1 = 1.0F / 3, r2 = 2.0F / 3;
  const float h = t_next - t_, sigma = sigma_of(t_next);
  const float s2 = t_ + r2 * h, sigma2 = sigma_of(s2);
  const at::Tensor& inner = first_inner(r1, h);
  const at::Tensor u2 = x_ - eps_ * (sigma2 * std::expm1(r2 * h)) -
                        (inner - eps_) * (sigma2 * (r2 / r1) * (std::expm1(r2 * h) / (r2 * h) - 1));
  const at::Tensor second = eps_at(u2, s2);
  return x_ - eps_ * (sigma * std::expm1(h)) - (second - eps_) * (sigma / r2 * (std::expm1(h) / h - 1));
}

NoisyTarget noisy_target(float t, float t_next, float t_end, double eta) {
  if (eta == 0) return {t_next, 0};
  const auto [down, up] = ancestral_step(sigma_of(t), sigma_of(t_next), eta);
  const float target = std::min(t_end, time_of(down));
  const float high = sigma_of(t_next), low = sigma_of(target);
  return {target, std::sqrt(std::max(high * high - low * low, 0.0F))};
}

}  // namespace lowrank::sampling
