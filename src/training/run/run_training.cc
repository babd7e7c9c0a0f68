#include "training/run/run_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "training/run/loss_meter.h"

namespace lowrank::training {
namespace {

constexpr int kMaxBadStepsInARow = 20;
constexpr std::ptrdiff_t kRecentSteps = 50;

class Loop {
 public:
  Loop(Objective& objective, Optimiser& optimiser, const RunPlan& plan, RunState& state,
       const RunControl& control)
      : objective_(objective), optimiser_(optimiser), plan_(plan), state_(state), control_(control) {}

  RunResult run() {
    const std::int64_t steps = plan_.schedule.steps();
    for (std::int64_t step = begin(); step < steps; ++step) {
      stop_if_asked(step);
      note_loss(step, train_step(step));
      const at::NoGradGuard no_grad;
      objective_.updated(step);
      const std::int64_t done = step + 1;
      if (done % control_.save_every == 0 || done == steps) save_state(done);
      objective_.save_on_the_way(done);
      control_.after_step(done);
    }
    objective_.finish(steps);
    if (!plan_.keeps_state) std::filesystem::remove(state_.file);
    const auto recent = std::min(kRecentSteps, std::ssize(result_.losses));
    if (recent > 0)
      result_.loss = std::accumulate(result_.losses.end() - recent, result_.losses.end(), 0.0) /
                     static_cast<double>(recent);
    return std::move(result_);
  }

 private:
  // The first step that is to be done.
  std::int64_t begin() {
    const at::NoGradGuard no_grad;
    if (!state_.saved) {
      objective_.begin();
      return 0;
    }
    const TrainState saved = *std::exchange(state_.saved, std::nullopt);
    objective_.load(saved.tensors);
    optimiser_.load(saved.tensors, saved.step);
    control_.say(fmt::format("Resuming after step {} of {} ({}).", saved.step, plan_.schedule.steps(),
                             state_.origin.string()));
    return saved.step;
  }

  void save_state(std::int64_t done) {
    TrainState state{done, state_.facts, optimiser_.state()};
    state.tensors.merge(objective_.state());
    save_train_state(state_.file, state);
  }

  void stop_if_asked(std::int64_t done) {
    if (!control_.stop.stop_requested()) return;
    save_state(done);
    throw Error(
        kCancelled,
        "training stopped after step {} of {}; its state is saved in {}, and the same command resumes it.",
        done, plan_.schedule.steps(), state_.file.string());
  }

  // One update of the parameters; the mean loss of its batches.
  double train_step(std::int64_t step) {
    const std::int64_t batches = objective_.batches(step);
    double sum = 0;
    for (std::int64_t batch = 0; batch < batches; ++batch) {
      const at::Tensor loss = objective_.loss(step, batch);
      (loss / static_cast<double>(batches)).backward();
      sum += loss.item<double>();
    }
    const double limit =
        plan_.max_gradient_norm > 0 ? plan_.max_gradient_norm : std::numeric_limits<double>::infinity();
    const bool is_finite = std::isfinite(optimiser_.clip_gradients(limit));
    optimiser_.step(plan_.schedule.factor(step));
    count_bad_step(step, is_finite);
    return sum / static_cast<double>(batches);
  }

  void count_bad_step(std::int64_t step, bool is_finite) {
    bad_in_a_row_ = is_finite ? 0 : bad_in_a_row_ + 1;
    if (!is_finite) ++result_.skipped_steps;
    if (bad_in_a_row_ == kMaxBadStepsInARow)
      throw Error(kBadInput,
                  "the gradient was not finite for {} steps in a row, the last of them step {}; lower the "
                  "learning rate or train in full precision.",
                  kMaxBadStepsInARow, step + 1);
  }

  void note_loss(std::int64_t step, double loss) {
    result_.losses.push_back(loss);
    if (std::isfinite(loss)) meter_.add(loss);
    control_.report({objective_.phase(), step + 1, plan_.schedule.steps(), meter_.average(),
                     objective_.learning_rate() * plan_.schedule.factor(step), meter_.steps_per_second(),
                     loss});
  }

  Objective& objective_;
  Optimiser& optimiser_;
  const RunPlan& plan_;
  RunState& state_;
  const RunControl& control_;
  int bad_in_a_row_ = 0;
  LossMeter meter_;
  RunResult result_;
};

}  // namespace

RunResult run_training(Objective& objective, Optimiser& optimiser, const RunPlan& plan, RunState& state,
                       const RunControl& control) {
  return Loop(objective, optimiser, plan, state, control).run();
}

}  // namespace lowrank::training
