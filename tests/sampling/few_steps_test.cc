// TCD, the spacings of few steps and rectified flow against diffusers (fixtures/samplers/README.md), and all samplers on flows
// whose end is known.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "analytic_model.h"
#include "base/error.h"
#include "fixture.h"
#include "sampling/run.h"
#include "support/expect_close.h"

namespace lowrank::sampling {
namespace {

using lowrank::testing::expect_close;
using testing::AnalyticModel;
using testing::read_json;

// One name of a sampler here and a schedule for each kind of the fixture's schedulers.
struct Ours {
  const SamplerRow* sampler;
  const ScheduleRow* schedule;
};
Ours ours_of(const std::string& kind) {
  if (kind == "flow Euler") return {find_sampler("Euler"), find_schedule("uniform")};
  if (kind == "flow Heun") return {find_sampler("Heun"), find_schedule("normal")};
  if (kind == "TCD") return {find_sampler("TCD"), &automatic_schedule()};
  return {find_sampler(kind), find_schedule(kind == "LCM" ? "lcm" : "trailing")};
}

Prediction prediction_of(const std::string& name) {
  return name == "v" ? Prediction::kV : name == "flow" ? Prediction::kFlow : Prediction::kEpsilon;
}

NoiseTable table_of(const nlohmann::json& golden) {
  if (golden["prediction"] == "flow") return NoiseTable::rectified_flow(golden["shift"].get<double>());
  const auto table = NoiseTable::stable_diffusion();
  return golden.value("zero_snr", false) ? table.zero_terminal_snr() : table;
}

// The start noise first, as a walk draws it, then what the reference was handed.
class GoldenNoise : public NoiseSource {
 public:
  GoldenNoise(at::Tensor start, at::Tensor draws) : start_(std::move(start)), draws_(std::move(draws)) {}
  at::Tensor next() override { return count_++ == 0 ? start_ : draws_[count_ - 2]; }
  void set_sigma_range(float, float) override {}
  at::Tensor between(float, float) override { throw std::logic_error("no Brownian noise here"); }

 private:
  at::Tensor start_, draws_;
  std::int64_t count_ = 0;
};

TEST(FewSteps, EqualDiffusersSchedulers) {
  const testing::Tensors known("samplers/samplers.safetensors"), goldens("samplers/few_steps.safetensors");
  const auto document = read_json("samplers/few_steps.json");
  for (const auto& golden : document["cases"]) {
    const auto [sampler, schedule] = ours_of(golden["sampler"].get<std::string>());
    ASSERT_TRUE(sampler != nullptr && schedule != nullptr) << golden.dump();
    SampleRequest request{.schedule = schedule, .steps = golden["steps"].get<int>()};
    request.table = table_of(golden);
    request.prediction = prediction_of(golden["prediction"].get<std::string>());
    request.guidance = {.scale = document["scale"].get<double>(),
                        .weights = document["weights"].get<std::vector<std::vector<double>>>()};
    if (golden.contains("eta") && golden["eta"].is_number())
      request.sampler_settings.eta = golden["eta"].get<double>();
    // diffusers' LCM begins with the unit noise as the network sees it, the web UI's with a weaker one.
    request.sgm_noise_multiplier = golden["sampler"] == "LCM";
    AnalyticModel model;
    GoldenNoise noise(known["x"], known["noise"]);
    const auto result = run_sampler(*sampler, request, model, noise);
    // Float32 on both sides; with zero terminal SNR x₀ is a difference of large numbers.
    const double tolerance = golden.value("zero_snr", false) ? 1e-3 : 2e-4;
    EXPECT_TRUE(expect_close(result.latent, goldens[golden["name"].get<std::string>()], {.rel = tolerance},
                             golden.dump()));
    EXPECT_EQ(result.calls, golden["calls"].get<int>()) << golden.dump();
  }
}

TEST(FewSteps, TcdTakesItsNoiseFromItsOwnDefaultOfEta) {
  const testing::Tensors known("samplers/samplers.safetensors");
  const auto with = [&](std::optional<double> eta) {
    SampleRequest request{.steps = 4};
    request.guidance.weights.assign(2, {1.0});
    request.sampler_settings.eta = eta;
    AnalyticModel model;
    GoldenNoise noise(known["x"], known["noise"]);
    return run_sampler(*find_sampler("TCD"), request, model, noise).latent;
  };
  EXPECT_TRUE(with(std::nullopt).equal(with(0.3)));
  EXPECT_FALSE(with(0.3).equal(with(0.5)));
  EXPECT_THROW(with(1.5), Error);
}

// Source: diffusers 0.42.1, LCMScheduler.set_timesteps(4, strength=0.5).
TEST(FewSteps, AllStepsOfHalfTheStrengthBeginHalfWay) {
  const auto& sampler = *find_sampler("TCD");
  const ImageSteps steps = image_steps(4, 0.5, true);
  const Walk whole = plan_walk(sampler, {.steps = steps.schedule});
  EXPECT_EQ(cut_walk(sampler, whole, steps).timesteps, (std::vector<int>{0, 139, 259, 379, 499}));
}

TEST(FewSteps, MoreStepsThanThereAreLevelsAreRefused) {
  EXPECT_NO_THROW(plan_walk(*find_sampler("TCD"), {.steps = 50}));
  EXPECT_THROW(plan_walk(*find_sampler("TCD"), {.steps = 51}), Error);
  SampleRequest request{.schedule = find_schedule("lcm"), .steps = 51};
  EXPECT_THROW(plan_walk(*find_sampler("LCM"), request), Error);
  request.schedule = find_schedule("trailing");
  request.steps = 1001;
  EXPECT_THROW(plan_walk(*find_sampler("DDIM"), request), Error);
}

// diffusers' own list has one step more for some numbers, the last at timestep −1 (findings/).
TEST(FewSteps, TrailingHasAsManyStepsAsAskedFor) {
  const auto table = NoiseTable::stable_diffusion();
  for (int n = 1; n <= 1000; ++n) {
    const auto sigmas = make_schedule(*find_schedule("trailing"), table, n);
    ASSERT_EQ(sigmas.size(), static_cast<std::size_t>(n) + 1);
    ASSERT_FLOAT_EQ(sigmas.front(), table.sigma_max());
    for (std::size_t i = 1; i < sigmas.size(); ++i) ASSERT_LT(sigmas[i], sigmas[i - 1]) << n;
  }
}

TEST(FewSteps, TimestepSamplersTakeSchedulesOfTimestepsAlone) {
  const auto& ddim = *find_sampler("DDIM");
  const auto own = plan_walk(ddim, {.steps = 8}).timesteps;
  EXPECT_EQ(plan_walk(ddim, {.schedule = find_schedule("karras"), .steps = 8}).timesteps, own);
  EXPECT_EQ(plan_walk(ddim, {.schedule = find_schedule("trailing"), .steps = 4}).timesteps,
            (std::vector<int>{0, 249, 499, 749, 999}));
  const auto& unipc = *find_sampler("UniPC");
  EXPECT_EQ(plan_walk(unipc, {.schedule = find_schedule("trailing"), .steps = 8}).timesteps,
            plan_walk(unipc, {.steps = 8}).timesteps);
}

// ── known ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────
// The best network for latents drawn from a normal distribution of deviation s: D = y·s²/(s² + sigma²) of y = x₀ + sigma·ξ.
class GaussianModel : public NoiseModel {
 public:
  GaussianModel(double s, Prediction prediction, const NoiseTable& table)
      : s_(s), prediction_(prediction), table_(table) {}
  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps, std::span<const BranchRow>,
                     int) override {
    const double t = timesteps[0].item<float>();
    if (prediction_ == Prediction::kFlow) {  // x = (1 − t)·x₀ + t·ξ, v = ξ − x₀
      const double u = t / 1000, signal = (1 - u) * s_ * s_, all = (1 - u) * (1 - u) * s_ * s_ + u * u;
      return x * ((u - signal) / all);
    }
    const double sigma = table_.sigma_at(static_cast<float>(t)), root = std::sqrt(1 + sigma * sigma);
    const double kept = s_ * s_ / (s_ * s_ + sigma * sigma);  // D = kept·y, y = x·root
    if (prediction_ == Prediction::kEpsilon) return x * (root * (1 - kept) / sigma);
    return x * ((1 / root - kept * root) * root / sigma);
  }

 private:
  double s_;
  Prediction prediction_;
  const NoiseTable& table_;
};

// However it walks and whatever noise it adds, a sampler ends with latents of the model's distribution.
TEST(FewSteps, EverySamplerWorksWithEveryPredictionOrRefuses) {
  constexpr double kDeviation = 0.8;
  int refused = 0;
  for (const auto prediction : {Prediction::kEpsilon, Prediction::kV, Prediction::kFlow}) {
    const bool is_flow = prediction == Prediction::kFlow;
    for (const auto& sampler : sampler_table()) {
      if (sampler.is_lcm) continue;  // each answer is a mean, no sample
      SampleRequest request{.steps = 40};
      request.table = is_flow                        ? NoiseTable::rectified_flow(3)
                      : prediction == Prediction::kV ? NoiseTable::stable_diffusion().zero_terminal_snr()
                                                     : NoiseTable::stable_diffusion();
      request.prediction = prediction;
      request.guidance = {.scale = 1, .weights = {{1.0}}};
      GaussianModel model(kDeviation, prediction, request.table);
      auto noise = make_image_noise({.rng = RngKind::kCpu, .seeds = {5}, .height = 32, .width = 32});
      if (is_flow && sampler.flow == request::FlowWalk::kNone) {
        EXPECT_THROW(run_sampler(sampler, request, model, *noise), Error) << sampler.label;
        ++refused;
        continue;
      }
      // Straight lines in sigma from a level of 4518 miss; A1111's do too.
      const bool misses =
          prediction == Prediction::kV && (sampler.label == "Heun" || sampler.label == "DPM2" ||
                                           sampler.label == "DPM2 a" || sampler.label == "Restart");
      if (misses) continue;
      const auto latent = run_sampler(sampler, request, model, *noise).latent;
      EXPECT_NEAR(latent.std().item<double>(), kDeviation, 0.12)
          << sampler.label << " prediction " << static_cast<int>(prediction);
    }
  }
  EXPECT_EQ(refused, 2);
}

TEST(FewSteps, FlowFromAPictureBeginsBetweenItAndNoise) {
  const at::Tensor z = at::full({1, 4, 6, 6}, 2.0), noise = at::full({1, 4, 6, 6}, -1.0);
  SampleRequest request{.schedule = find_schedule("normal"), .steps = 10};
  request.table = NoiseTable::rectified_flow(1);
  for (const char* name : {"Euler", "Euler a", "TCD"}) {
    const auto& sampler = *find_sampler(name);
    if (sampler.is_timestep) request.schedule = find_schedule("trailing");
    const NoiseTable table = sampler_noise_table(sampler, request);
    const Walk whole = plan_walk(sampler, request);
    const ImageSteps steps = image_steps(10, 0.5, false);
    const Walk cut = cut_walk(sampler, whole, steps);
    const float first = sampler.is_timestep ? table.sigmas()[static_cast<std::size_t>(cut.timesteps.back())]
                                            : cut.sigmas.front();
    const float t = table.is_in_flow_times() ? first : first / (1 + first);
    // What the network sees: the latent of each walk in the flow's own measure.
    at::Tensor x = start_from_image(sampler, whole, cut, steps, table, {.latent = z, .repaint = {}}, noise);
    if (sampler.is_timestep) x = x * std::sqrt(1 + first * first);
    if (!table.is_in_flow_times()) x = x * (1 - t);
    EXPECT_GT(t, 0.4) << name;
    EXPECT_LT(t, 0.7) << name;
    EXPECT_TRUE(expect_close(x, z * (1 - t) + noise * t, {.rel = 1e-5}, name));
  }
}

TEST(FewSteps, WhatARectifiedFlowLacksIsRefused) {
  SampleRequest request{.schedule = find_schedule("align_your_steps"), .steps = 8};
  request.table = NoiseTable::rectified_flow(3);
  request.prediction = Prediction::kFlow;
  EXPECT_THROW(plan_walk(*find_sampler("Euler"), request), Error);
  request.schedule = find_schedule("simple");
  EXPECT_NO_THROW(plan_walk(*find_sampler("Euler"), request));
  request.schedule_settings.sigma_max = 14.6;
  EXPECT_THROW(plan_walk(*find_sampler("Euler"), request), Error);
  request.schedule_settings.sigma_max = 0.9;
  EXPECT_NO_THROW(plan_walk(*find_sampler("Euler"), request));
  request.sampler_settings.s_churn = 1;
  EXPECT_THROW(plan_walk(*find_sampler("Euler"), request), Error);
  EXPECT_THROW(NoiseTable::rectified_flow(0), Error);
  EXPECT_THROW(NoiseTable::rectified_flow(-3), Error);
}

}  // namespace
}  // namespace lowrank::sampling
