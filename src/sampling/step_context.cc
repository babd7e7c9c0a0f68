#include "sampling/step_context.h"

#include <utility>

#include "base/progress.h"

namespace lowrank::sampling {

StepContext::StepContext(NoiseSource& noise, const SamplerSettings& chosen, StepListener listener,
                         std::stop_token stop)
    : settings(chosen), noise_(noise), listener_(std::move(listener)), stop_(std::move(stop)) {}

void StepContext::step_done(const at::Tensor& denoised) {
  ++step_;
  if (listener_) listener_({.step = step_, .steps = steps_, .denoised = denoised});
  throw_if_stopped(stop_);
}

}  // namespace lowrank::sampling
