// The loop itself, on a training of one number.
#include "training/run/run_training.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "support/temporary_folder.h"
#include "training/optim/optimiser_table.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;

// Learns x = 3; from `bad` on its loss is not finite.
class OneNumber : public Objective {
 public:
  explicit OneNumber(std::int64_t bad = -1) : bad_(bad) {}
  std::string phase() const override { return "lora"; }
  double learning_rate() const override { return rate; }
  std::vector<TrainedParameter> parameters() const override { return {{"x", x_, rate}}; }
  at::Tensor loss(std::int64_t step, std::int64_t /*batch*/) override {
    const at::Tensor loss = (x_ - 3).square().sum();
    return step == bad_ ? loss / 0.0 * 0.0 : loss;
  }
  std::string contents(std::int64_t step, std::int64_t batch) override {
    return "its pictures: step" + std::to_string(step) + "batch" + std::to_string(batch) + ".png";
  }
  tensor::StateDict state() const override { return {{"x", x_.detach()}}; }
  void load(const tensor::StateDict& state) override { x_.copy_(state.at("x")); }
  void on_the_way(std::int64_t done, bool again) override {
    told += (told.empty() ? "" : " ") + std::to_string(done) + (again ? " again" : "");
  }
  void finish(std::int64_t) override {}

  double rate = 0.1;
  std::string told;

 private:
  at::Tensor x_ = at::zeros({1}).requires_grad_();
  std::int64_t bad_;
};

class RunTraining : public ::testing::Test {
 protected:
  RunResult run(OneNumber& objective, RunControl control = {}) {
    RunState state = open_run_state(file_, {{"lowrank.phase", "test"}});
    const auto optimiser = make_optimiser("AdamW", objective.parameters(), {.weight_decay = 0});
    return run_training(objective, *optimiser, {.schedule = {"constant", 10, 0}, .keeps_state = true}, state,
                        control);
  }
  std::string refusal(OneNumber& objective, const RunControl& control = {}) {
    try {
      run(objective, control);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "state.safetensors";
};

TEST_F(RunTraining, ALossThatIsNotFiniteStopsTheRunAndNamesStepAndPictures) {
  OneNumber objective(6);
  const std::string said = refusal(objective);
  EXPECT_THAT(said, HasSubstr("the loss of step 7 is nan"));
  EXPECT_THAT(said, HasSubstr("step6batch0.png"));
  EXPECT_THAT(said, HasSubstr("state after step 6 is kept"));
  const auto state = load_train_state(file_);
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->step, 6);
  // It is the state of a run that never met that loss.
  OneNumber whole;
  RunControl until;
  std::stop_source source;
  until.stop = source.get_token();
  until.after_step = [&](std::int64_t done) {
    if (done == 6) source.request_stop();
  };
  std::filesystem::rename(file_, folder_.path() / "kept.safetensors");
  refusal(whole, until);
  EXPECT_EQ(checksum(state->tensors), checksum(load_train_state(file_)->tensors));
}

TEST_F(RunTraining, AnUpdateThatIsNotFiniteNeverReachesTheState) {
  OneNumber objective;
  RunControl control;
  control.save_every = 2;
  run(objective, control);
  std::filesystem::remove(file_);
  OneNumber wild;
  wild.rate = std::numeric_limits<double>::max();
  const std::string said = refusal(wild, control);
  EXPECT_THAT(said, HasSubstr("not finite"));
  EXPECT_FALSE(std::filesystem::exists(file_)) << "no state had been good";
}

TEST_F(RunTraining, AResumedRunMakesUpForWhatItsLastStepLeftUndone) {
  OneNumber first, second;
  RunControl control;
  control.save_every = 4;
  control.after_step = [](std::int64_t done) {
    if (done == 5) throw std::runtime_error("killed");
  };
  EXPECT_THROW(run(first, control), std::runtime_error);
  run(second);
  EXPECT_EQ(second.told, "4 again 5 6 7 8 9 10");
}

}  // namespace
}  // namespace lowrank::training
