#include "training/run/run_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "training/run/loss_meter.h"

namespace lowrank::training {
namespace {

constexpr int kMaxBadStepsInARow = 20;
constexpr std::ptrdiff_t kRecentSteps = 50;
constexpr const char* kRemedy =
    "Start over with a lower learning rate or in full precision, or look at the pictures.";

class Loop {
 public:
  Loop(Objective& objective, Optimiser& optimiser, const RunPlan& plan, RunState& state,
       const RunControl& control)
      : objective_(objective),
        optimiser_(optimiser),
        plan_(plan),
        state_(state),
        control_(control),
        parameters_(objective.parameters()) {}

  RunResult run() {
    const std::int64_t steps = plan_.schedule.steps();
    for (std::int64_t step = begin(); step < steps; ++step) {
      stop_if_asked(step);
      const auto began = Clock::now();
      const double loss = train_step(step);
      const at::NoGradGuard no_grad;
      objective_.updated(step);
      require_finite_parameters(step);
      note_loss(step, loss, std::chrono::duration<double>(Clock::now() - began).count());
      const std::int64_t done = step + 1;
      if (done % control_.save_every == 0 || done == steps) save_state(done);
      const Evaluation evaluation(optimiser_);
      objective_.on_the_way(done, false);
      control_.after_step(done);
    }
    {
      const Evaluation evaluation(optimiser_);
      objective_.finish(steps);
    }
    if (!plan_.keeps_state && plan_.is_writer) std::filesystem::remove(state_.file);
    const auto recent = std::min(kRecentSteps, std::ssize(result_.losses));
    if (recent > 0)
      result_.loss = std::accumulate(result_.losses.end() - recent, result_.losses.end(), 0.0) /
                     static_cast<double>(recent);
    return std::move(result_);
  }

 private:
  using Clock = std::chrono::steady_clock;

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
    has_state_ = state_.origin == state_.file;
    control_.say(fmt::format("Resuming after step {} of {} ({}).", saved.step, plan_.schedule.steps(),
                             state_.origin.string()));
    const Evaluation evaluation(optimiser_);
    objective_.on_the_way(saved.step, true);
    return saved.step;
  }

  void save_state(std::int64_t done) {
    if (!plan_.is_writer) return;
    TrainState state{done, state_.facts, optimiser_.state()};
    state.tensors.merge(objective_.state());
    save_train_state(state_.file, state);
    has_state_ = true;
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
      const double value = loss.item<double>();
      sum += value;
      // With several processes the sum is exchanged first, so that all of them stop.
      if (!std::isfinite(value)) {
        bad_contents_ = objective_.contents(step, batch);
        break;
      }
      (loss / static_cast<double>(batches)).backward();
    }
    double mean = sum / static_cast<double>(batches);
    if (plan_.exchange != nullptr) mean = exchanged(step, mean);
    if (!std::isfinite(mean)) refuse_loss(step, mean);
    const double limit =
        plan_.max_gradient_norm > 0 ? plan_.max_gradient_norm : std::numeric_limits<double>::infinity();
    const bool is_finite = std::isfinite(optimiser_.clip_gradients(limit));
    optimiser_.step(plan_.schedule.factor(step));
    count_bad_step(step, is_finite);
    return mean;
  }

  // When another process has ended, nothing is lost of what this one has.
  double exchanged(std::int64_t step, double loss) {
    try {
      return plan_.exchange(parameters_, loss);
    } catch (const Error&) {
      const at::NoGradGuard no_grad;
      save_state(step);
      throw;
    }
  }

  // The parameters are those before the step, and are kept as they are.
  [[noreturn]] void refuse_loss(std::int64_t step, double loss) {
    const at::NoGradGuard no_grad;
    save_state(step);
    throw Error(
        kBadInput,
        "the loss of step {} is {}, so that nothing more can be learned{}{}. The state after step {} is "
        "kept in {}. {}",
        step + 1, std::isnan(loss) ? "nan" : "infinite", bad_contents_.empty() ? "" : "; ", bad_contents_,
        step, state_.file.string(), kRemedy);
  }

  // An update too large for float32 may follow a finite loss. Then the state on the disk is the last good one.
  void require_finite_parameters(std::int64_t step) {
    for (const auto& parameter : parameters_)
      if (!std::isfinite(parameter.tensor.sum().item<double>()) &&
          !at::isfinite(parameter.tensor).all().item<bool>())
        throw Error(kBadInput, "step {} made {} not finite, so that nothing more can be learned. {} {}",
                    step + 1, parameter.name,
                    has_state_ ? fmt::format("The last good state is kept in {}.", state_.file.string())
                               : std::string("No state had been saved yet."),
                    kRemedy);
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

  void note_loss(std::int64_t step, double loss, double seconds) {
    result_.losses.push_back(loss);
    meter_.add(loss);
    const double factor = plan_.schedule.factor(step);
    control_.report({.phase = objective_.phase(),
                     .step = step + 1,
                     .steps = plan_.schedule.steps(),
                     .loss = meter_.average(),
                     .learning_rate = objective_.learning_rate() * factor,
                     .steps_per_second = meter_.steps_per_second(),
                     .step_loss = loss,
                     .rate_factor = factor,
                     .seconds = seconds});
  }

  Objective& objective_;
  Optimiser& optimiser_;
  const RunPlan& plan_;
  RunState& state_;
  const RunControl& control_;
  const std::vector<TrainedParameter> parameters_;
  std::string bad_contents_;
  bool has_state_ = false;
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
