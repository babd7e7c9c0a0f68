#include <algorithm>

#include "base/error.h"
#include "sampling/samplers/dpm_solver.h"
#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

namespace {

constexpr double kRelativeTolerance = 0.05, kAbsoluteTolerance = 0.0078;
constexpr float kFirstStep = 0.05F;
constexpr double kAcceptSafety = 0.81;
// Far beyond any walk; a model that never agrees with itself must not hang us
constexpr int kMaxAttempts = 20000;

// ‖(low − high)/δ‖ / √count, δ = max(atol, rtol·max(|low|, |previous low|)); over the whole batch, as the
// reference. A plain loop in double: a tensor reduction's result could depend on the number of threads.
double error_norm(const at::Tensor& low, const at::Tensor& high, const at::Tensor& previous) {
  const at::Tensor a = low.contiguous(), b = high.contiguous(), c = previous.contiguous();
  const float *pa = a.data_ptr<float>(), *pb = b.data_ptr<float>(), *pc = c.data_ptr<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double scale = std::max(std::abs(static_cast<double>(pa[i])), std::abs(static_cast<double>(pc[i])));
    const double delta = std::max(kAbsoluteTolerance, kRelativeTolerance * scale);
    const double ratio = (static_cast<double>(pa[i]) - pb[i]) / delta;
    sum += ratio * ratio;
  }
  return std::sqrt(sum / static_cast<double>(a.numel()));
}

}  // namespace

// DPM-Solver-23 (arXiv:2206.00927): orders 2 and 3 from shared model calls; their difference sets the step,
// by the integral part of a PID controller. The number of steps is its own choice.
at::Tensor sample_dpm_adaptive(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto& settings = context.settings;
  const float t_end = time_of(walk.sigma_min);
  const double exponent = 1 / (context.eta() != 0 ? 1.5 : 3.0);
  float t = time_of(walk.sigma_max);
  double h = kFirstStep;
  at::Tensor previous = x;
  context.begin(0);
  for (int attempt = 0; t < t_end - 1e-5F; ++attempt) {
    const float t_next = std::min(t_end, t + static_cast<float>(h));
    const auto [target, size] = noisy_target(t, t_next, t_end, context.eta());
    DpmSolverStep step(denoiser, x, t);
    const at::Tensor low = step.second_order(target, 1.0F / 3), high = step.third_order(target);
    const double error = error_norm(low, high, previous);
    if (!std::isfinite(error) || attempt == kMaxAttempts || t_next == t) {
      throw Error(kBadInput,
                  "DPM adaptive found no step size at sigma {:.4g} (error {}); the model's output is not "
                  "finite or not smooth enough; choose another sampler.",
                  sigma_of(t), error);
    }
    const double factor = 1 + std::atan(std::pow(1 / (error + 1e-8), exponent) - 1);
    h *= factor;
    if (factor >= kAcceptSafety) {
      previous = low;
      x = high + context.noise() * (size * static_cast<float>(settings.s_noise));
      t = t_next;
    }
    context.step_done(step.denoised());
  }
  return x;
}

}  // namespace lowrank::sampling
