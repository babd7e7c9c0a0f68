#include <deque>

#include "sampling/samplers/samplers.h"
#include "sampling/samplers/timestep_walk.h"

namespace lowrank::sampling {

// DDIM steps with eps extrapolated from the last ones (Adams-Bashforth, order up to 4). The first step looks
// ahead and so calls the model twice. Source: PNDM (arXiv:2202.09778).
at::Tensor sample_plms(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  std::deque<at::Tensor> old;  // newest first, three at most
  const auto steps = timestep_steps(walk, denoiser.table());
  context.begin(static_cast<int>(steps.size()));
  for (const auto& step : steps) {
    const at::Tensor eps = denoiser.predict_eps(x, step.timestep).guided;
    at::Tensor mixed;
    if (old.empty()) {
      const at::Tensor trial = step_to_prev(predicted_x0(x, eps, step), eps, step, 0);
      mixed = (eps + denoiser.predict_eps(trial, step.next_timestep).guided) / 2;
    } else if (old.size() == 1) {
      mixed = (eps * 3 - old[0]) / 2;
    } else if (old.size() == 2) {
      mixed = (eps * 23 - old[0] * 16 + old[1] * 5) / 12;
    } else {
      mixed = (eps * 55 - old[0] * 59 + old[1] * 37 - old[2] * 9) / 24;
    }
    const at::Tensor x0 = predicted_x0(x, mixed, step);
    x = step_to_prev(x0, mixed, step, 0);
    old.push_front(eps);
    if (old.size() > 3) old.pop_back();
    context.step_done(x0);
  }
  return x;
}

}  // namespace lowrank::sampling
