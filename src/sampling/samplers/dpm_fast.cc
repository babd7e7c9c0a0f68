#include "sampling/samplers/dpm_solver.h"
#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"
#include "sampling/schedules.h"

namespace lowrank::sampling {

namespace {

// Orders of the steps so that together they make `calls` calls of the model.
std::vector<int> step_orders(int calls) {
  const int count = calls / 3 + 1;
  std::vector<int> orders(static_cast<std::size_t>(calls % 3 == 0 ? count - 2 : count - 1), 3);
  if (calls % 3 == 0) {
    orders.insert(orders.end(), {2, 1});
  } else {
    orders.push_back(calls % 3);
  }
  return orders;
}

}  // namespace

// DPM-Solver-fast (arXiv:2206.00927): walk.steps model calls in equal steps of t = −ln sigma over the table's
// range.
at::Tensor sample_dpm_fast(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto& settings = context.settings;
  const auto orders = step_orders(walk.steps);
  const float t_end = time_of(walk.sigma_min);
  const auto times = linspace(time_of(walk.sigma_max), t_end, static_cast<int>(orders.size()) + 1);
  context.begin(static_cast<int>(orders.size()));
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const float t = times[i], t_next = times[i + 1];
    const auto [target, size] = noisy_target(t, t_next, t_end, context.eta());
    DpmSolverStep step(denoiser, x, t);
    x = orders[i] == 1   ? step.first_order(target)
        : orders[i] == 2 ? step.second_order(target)
                         : step.third_order(target);
    x = x + context.noise() * (size * static_cast<float>(settings.s_noise));
    context.step_done(step.denoised());
  }
  return x;
}

}  // namespace lowrank::sampling
