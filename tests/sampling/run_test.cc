#include "sampling/run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "analytic_model.h"
#include "base/error.h"
#include "fixture.h"
#include "support/expect_close.h"

namespace lowrank::sampling {
namespace {

using lowrank::testing::expect_close;
using testing::AnalyticModel;

std::unique_ptr<NoiseSource> image_noise(std::vector<std::uint64_t> seeds, std::int64_t size = 6) {
  return make_image_noise({.seeds = std::move(seeds), .height = size, .width = size});
}

SampleRequest request_for(std::size_t images, int steps = 6) {
  SampleRequest request{.steps = steps};
  request.guidance.weights.assign(images, {1.0});
  return request;
}

TEST(PlanWalk, TimestepListsEqualTheReference) {
  for (const auto& golden : testing::read_json("schedules.json", "timesteps_ddim_plms_unipc")) {
    SampleRequest request{.steps = golden["steps"].get<int>()};
    EXPECT_EQ(plan_walk(*find_sampler("DDIM"), request).timesteps,
              golden["timesteps"].get<std::vector<int>>());
  }
}

TEST(PlanWalk, AutomaticIsTheSamplersOwnSchedule) {
  SampleRequest request{.steps = 8};
  const auto own = plan_walk(*find_sampler("DPM++ 2M"), request).sigmas;
  EXPECT_EQ(own, make_schedule(*find_schedule("karras"), request.table, 8));
  request.schedule = &automatic_schedule();
  EXPECT_EQ(plan_walk(*find_sampler("DPM++ 2M"), request).sigmas, own);
  EXPECT_EQ(plan_walk(*find_sampler("Euler"), request).sigmas,
            make_schedule(*find_schedule("uniform"), request.table, 8));
  request.schedule = find_schedule("simple");
  EXPECT_EQ(plan_walk(*find_sampler("Euler"), request).sigmas,
            make_schedule(*find_schedule("simple"), request.table, 8));
}

TEST(PlanWalk, DiscardMakesOneStepMoreAndDropsTheNextToLast) {
  SampleRequest request{.steps = 8};
  auto nine = make_schedule(*find_schedule("karras"), request.table, 9);
  nine.erase(nine.end() - 2);
  EXPECT_EQ(plan_walk(*find_sampler("DPM2"), request).sigmas, nine);
  request.always_discard_next_to_last_sigma = true;
  EXPECT_EQ(plan_walk(*find_sampler("DPM++ 2M"), request).sigmas, nine);
  EXPECT_EQ(plan_walk(*find_sampler("DPM2"), request).sigmas, nine);
  EXPECT_EQ(plan_walk(*find_sampler("DDIM"), request).timesteps.size(), 10U);  // 1000 div 9 = 111
}

TEST(PlanWalk, RefusesImpossibleSteps) {
  for (const int steps : {0, -1}) EXPECT_THROW(plan_walk(*find_sampler("Euler"), {.steps = steps}), Error);
  EXPECT_THROW(plan_walk(*find_sampler("DDIM"), {.steps = 1001}), Error);
  AnalyticModel model;
  EXPECT_THROW(run_sampler(*find_sampler("UniPC"), request_for(1, 2), model, *image_noise({1})), Error);
}

TEST(PlanWalk, SgmMultiplierScalesTheStart) {
  const auto noise = at::ones({1, 4, 2, 2});
  const Walk plan{.sigmas = {3, 1, 0}};
  EXPECT_TRUE(at::equal(start_latent(*find_sampler("Euler"), plan, noise, false), noise * 3));
  EXPECT_TRUE(expect_close(start_latent(*find_sampler("Euler"), plan, noise, true), noise * std::sqrt(10.0),
                           {.rel = 1e-6}));
  EXPECT_TRUE(at::equal(start_latent(*find_sampler("DDIM"), plan, noise, true), noise));
}

TEST(RunSampler, EverySamplerGivesTheSameBytesTwiceAndOnOneAndTwoThreads) {
  const int before = at::get_num_threads();
  for (const auto& row : sampler_table()) {
    std::vector<at::Tensor> results;
    for (const int threads : {1, 1, 2}) {
      at::set_num_threads(threads);
      AnalyticModel model;
      // 4·96·96 numbers: enough for libtorch to share the work out.
      results.push_back(run_sampler(row, request_for(1, 4), model, *image_noise({7}, 96)).latent);
    }
    EXPECT_TRUE(at::isfinite(results[0]).all().item<bool>()) << row.label;
    EXPECT_TRUE(at::equal(results[0], results[1])) << row.label;
    EXPECT_TRUE(at::equal(results[0], results[2])) << row.label;
  }
  at::set_num_threads(before);
}

TEST(RunSampler, ABatchEqualsItsImagesAlone) {
  for (const auto& row : sampler_table()) {
    if (row.label == "DPM adaptive") continue;  // chooses its steps by the whole batch, as the reference
    AnalyticModel model;
    const auto batch = run_sampler(row, request_for(3), model, *image_noise({4, 8, 15})).latent;
    for (const std::uint64_t seed : {4, 8, 15}) {
      const auto alone = run_sampler(row, request_for(1), model, *image_noise({seed})).latent;
      EXPECT_TRUE(at::equal(alone[0], batch[seed == 4   ? 0
                                            : seed == 8 ? 1
                                                        : 2]))
          << row.label << " seed " << seed;
    }
  }
}

TEST(RunSampler, ReportsEveryStepOnce) {
  for (const auto& row : sampler_table()) {
    AnalyticModel model;
    std::vector<int> steps;
    int total = -1;
    run_sampler(row, request_for(2, 9), model, *image_noise({1, 2}), [&](const StepReport& report) {
      steps.push_back(report.step);
      total = report.steps;
      EXPECT_EQ(report.denoised.sizes(), (at::IntArrayRef{2, 4, 6, 6}));
    });
    for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i], static_cast<int>(i) + 1) << row.label;
    EXPECT_TRUE(total == 0 || static_cast<std::size_t>(total) == steps.size())
        << row.label << " said " << total;
    EXPECT_FALSE(steps.empty()) << row.label;
  }
}

TEST(RunSampler, CallNumbersCountUpFromZero) {
  for (const auto& row : sampler_table()) {
    AnalyticModel model;
    const auto result = run_sampler(row, request_for(1, 5), model, *image_noise({1}));
    ASSERT_EQ(static_cast<std::size_t>(result.calls), model.calls.size()) << row.label;
    for (std::size_t i = 0; i < model.calls.size(); ++i)
      ASSERT_EQ(model.calls[i], static_cast<int>(i)) << row.label;
  }
}

TEST(RunSampler, SecondOrderSamplersCountTwiceTheStepsForSkipEarly) {
  AnalyticModel model;
  auto request = request_for(1, 10);
  request.guidance.skip_early = 0.5;
  const auto result = run_sampler(*find_sampler("Heun"), request, model, *image_noise({1}));
  EXPECT_TRUE(result.skipped_early);
  for (std::size_t call = 0; call < model.rows_per_call.size(); ++call) {
    EXPECT_EQ(model.rows_per_call[call].size(), call <= 10 ? 1U : 2U) << call;  // call/20 ≤ 0.5
  }
}

TEST(RunSampler, StopsWithinAStep) {
  for (const auto& row : sampler_table()) {
    AnalyticModel model;
    std::stop_source stop;
    int steps = 0;
    try {
      run_sampler(
          row, request_for(1, 9), model, *image_noise({1}),
          [&](const StepReport&) {
            if (++steps == 2) stop.request_stop();
          },
          stop.get_token());
      FAIL() << row.label << " went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kCancelled) << row.label;
    }
    EXPECT_EQ(steps, 2) << row.label;
  }
}

TEST(RunSampler, SettingsASamplerDoesNotTakeAreIgnored) {
  for (const auto& row : sampler_table()) {
    AnalyticModel model;
    const auto plain = run_sampler(row, request_for(1), model, *image_noise({1})).latent;
    auto request = request_for(1);
    if (!row.has_churn) request.sampler_settings.s_churn = 20;
    if (!row.has_s_noise) request.sampler_settings.s_noise = 0.5;
    if (!row.has_eta) request.sampler_settings.eta = 0.3;
    EXPECT_TRUE(at::equal(run_sampler(row, request, model, *image_noise({1})).latent, plain)) << row.label;
  }
}

TEST(RunSampler, DpmAdaptiveRefusesAModelThatGivesNoNumbers) {
  struct NanModel : NoiseModel {
    at::Tensor predict(const at::Tensor& x, const at::Tensor&, std::span<const BranchRow>, int) override {
      return at::full_like(x, NAN);
    }
  } model;
  EXPECT_THROW(run_sampler(*find_sampler("DPM adaptive"), request_for(1), model, *image_noise({1})), Error);
}

}  // namespace
}  // namespace lowrank::sampling
