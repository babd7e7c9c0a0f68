#include "sampling/denoiser.h"

#include <gtest/gtest.h>

#include "analytic_model.h"
#include "base/error.h"
#include "support/expect_close.h"

namespace lowrank::sampling {
namespace {

using lowrank::testing::expect_close;
using testing::AnalyticModel;

constexpr int kUncond = BranchRow::kUncond;

at::Tensor latents(std::int64_t images) {
  return at::sin(at::arange(images * 24, at::kFloat)).reshape({images, 4, 2, 3});
}

class ConstantModel : public NoiseModel {
 public:
  explicit ConstantModel(float value) : value_(value) {}
  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps, std::span<const BranchRow>,
                     int) override {
    last_timestep = timesteps[0].item<float>();
    last_x = x;
    return at::full_like(x, value_);
  }
  float last_timestep = -1;
  at::Tensor last_x;

 private:
  float value_;
};

TEST(Denoiser, EpsAndVFormulas) {
  const auto x = latents(1);
  const float sigma = 2, timestep = 562.28601F;  // sigma_to_t of the fixture
  for (const auto prediction : {Prediction::kEpsilon, Prediction::kV}) {
    ConstantModel model(0.3F);
    Denoiser denoiser(model, NoiseTable::stable_diffusion(), prediction, {.scale = 1, .weights = {{1}}});
    const auto expected =
        prediction == Prediction::kEpsilon ? x - 2 * 0.3 : x / 5.0 - 0.3 * 2 / std::sqrt(5.0);
    EXPECT_TRUE(expect_close(denoiser.denoise(x, sigma), expected, {.rel = 1e-6}));
    EXPECT_NEAR(model.last_timestep, timestep, 1e-3);
    EXPECT_TRUE(expect_close(model.last_x, x / std::sqrt(5.0), {.rel = 1e-6}));
  }
}

TEST(Denoiser, LcmBoundaryTerms) {
  const auto x = latents(1);
  ConstantModel model(0.3F);
  const auto table = NoiseTable::stable_diffusion().lcm();
  Denoiser denoiser(model, table, Prediction::kEpsilon, {.scale = 1, .weights = {{1}}});
  const float sigma = table.sigmas()[0];  // timestep 19
  const double s = 190, skip = 0.25 / (s * s + 0.25), out = s / std::sqrt(s * s + 0.25);
  EXPECT_TRUE(expect_close(denoiser.denoise(x, sigma), x * skip + (x - sigma * 0.3) * out, {.rel = 1e-6}));
  EXPECT_EQ(model.last_timestep, 19);
}

TEST(Denoiser, RowsAreThePiecesOfEachImageThenTheNegativePrompts) {
  AnalyticModel model;
  Denoiser denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                    {.scale = 7, .weights = {{1}, {1, 0.5}}});
  denoiser.denoise(latents(2), 3);
  denoiser.denoise(latents(2), 2);
  EXPECT_EQ(model.rows_per_call[0],
            (std::vector<BranchRow>{{0, 0}, {1, 0}, {1, 1}, {0, kUncond}, {1, kUncond}}));
  EXPECT_EQ(model.calls, (std::vector<int>{0, 1}));
}

// result = u + Σ wᵢ·s·(cᵢ − u) on D, worked by hand from single branches.
TEST(Denoiser, ComposesPiecesWithTheirWeights) {
  const auto x = latents(1);
  const float sigma = 3, scale = 7;
  const auto branch = [&](int piece) {
    AnalyticModel model;
    const BranchRow row{0, piece};
    const auto t = at::full({1}, NoiseTable::stable_diffusion().timestep_of(sigma));
    return x - sigma * model.predict(x / std::sqrt(10.0), t, std::span(&row, 1), 0);
  };
  const auto u = branch(kUncond), c1 = branch(0), c2 = branch(1);
  AnalyticModel model;
  Denoiser denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                    {.scale = scale, .weights = {{1, 0.5}}});
  EXPECT_TRUE(expect_close(denoiser.denoise(x, sigma), u + 7 * (c1 - u) + 3.5 * (c2 - u), {.rel = 1e-5}));
}

TEST(Denoiser, ScaleOneRunsOnlyTheCondPassWhenThatChangesNothing) {
  AnalyticModel model;
  Denoiser single(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                  {.scale = 1, .weights = {{1}, {0.75, 0.25}}});
  const auto cheap = single.denoise(latents(2), 3);
  EXPECT_EQ(model.rows_per_call[0].size(), 3U);
  // The same composition, the long way round.
  Denoiser full(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                {.scale = 1 + 1e-9, .weights = {{1}, {0.75, 0.25}}});
  EXPECT_TRUE(expect_close(cheap, full.denoise(latents(2), 3), {.rel = 1e-5}));
  EXPECT_EQ(model.rows_per_call[1].size(), 5U);
  // Weights that do not sum to 1 leave a share of the negative prompt.
  Denoiser uneven(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                  {.scale = 1, .weights = {{1}, {0.75, 0.5}}});
  uneven.denoise(latents(2), 3);
  EXPECT_EQ(model.rows_per_call[2].size(), 5U);
  // CFG++ needs the negative prompt in any case.
  single.predict_eps(latents(2), 500, 1, Denoiser::Need::kGuidedAndUncond);
  EXPECT_EQ(model.rows_per_call[3].size(), 5U);
}

TEST(Denoiser, SkipEarlyLeavesOutTheNegativePromptUpToTheShare) {
  AnalyticModel model;
  Denoiser denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                    {.scale = 7, .weights = {{1}}, .skip_early = 0.3, .total_calls = 10});
  std::vector<std::size_t> rows;
  for (int call = 0; call < 6; ++call) denoiser.denoise(latents(1), 3);
  for (const auto& call : model.rows_per_call) rows.push_back(call.size());
  EXPECT_EQ(rows, (std::vector<std::size_t>{1, 1, 1, 1, 2, 2}));  // k/10 ≤ 0.3: calls 0…3
  EXPECT_TRUE(denoiser.skipped_early());
  EXPECT_FALSE(denoiser.skipped_by_sigma());
}

TEST(Denoiser, SkipEarlyZeroIsOff) {
  AnalyticModel model;
  Denoiser denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
                    {.scale = 7, .weights = {{1}}, .total_calls = 10});
  denoiser.denoise(latents(1), 3);
  EXPECT_EQ(model.rows_per_call[0].size(), 2U);
}

TEST(Denoiser, NgmsLeavesOutEverySecondCallBelowItsSigma) {
  for (const bool all : {false, true}) {
    AnalyticModel model;
    Denoiser denoiser(
        model, NoiseTable::stable_diffusion(), Prediction::kEpsilon,
        {.scale = 7, .weights = {{1}}, .s_min_uncond = 2, .s_min_uncond_all = all, .total_calls = 10});
    std::vector<std::size_t> rows;
    for (const float sigma : {5.0F, 4.0F, 2.0F, 1.9F, 1.0F, 0.5F}) denoiser.denoise(latents(1), sigma);
    for (const auto& call : model.rows_per_call) rows.push_back(call.size());
    EXPECT_EQ(rows, all ? (std::vector<std::size_t>{2, 2, 2, 1, 1, 1})
                        : (std::vector<std::size_t>{2, 2, 2, 1, 2, 1}));
    EXPECT_TRUE(denoiser.skipped_by_sigma());
  }
}

TEST(Denoiser, SkippedNegativePromptComposesFromTheFirstPiece) {
  AnalyticModel model;
  const Guidance guidance{.scale = 7, .weights = {{1, 0.5}}, .skip_early = 1, .total_calls = 10};
  Denoiser denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon, guidance);
  const auto ours = denoiser.predict_eps(latents(1), 400);
  const BranchRow rows[] = {{0, 0}, {0, 1}};
  const auto c = model.predict(latents(1).expand({2, 4, 2, 3}), at::full({2}, 400.0F), rows, 0);
  EXPECT_TRUE(expect_close(ours.guided[0], c[0] + 0.5 * (c[1] - c[0]), {.rel = 1e-5}));
  EXPECT_TRUE(expect_close(ours.uncond[0], c[0], {.rel = 1e-6}));
}

TEST(Denoiser, ABatchEqualsItsImagesAlone) {
  const auto x = latents(3);
  AnalyticModel model;
  const std::vector<std::vector<double>> weights{{1}, {0.5, 0.9}, {1.1}};
  Denoiser batch(model, NoiseTable::stable_diffusion(), Prediction::kV, {.scale = 5, .weights = weights});
  const auto together = batch.denoise(x, 1.7F);
  for (std::int64_t i = 0; i < 3; ++i) {
    Denoiser alone(model, NoiseTable::stable_diffusion(), Prediction::kV,
                   {.scale = 5, .weights = {weights[static_cast<std::size_t>(i)]}});
    EXPECT_TRUE(at::equal(alone.denoise(x.slice(0, i, i + 1), 1.7F)[0], together[i]));
  }
}

TEST(Denoiser, StopsBeforeTheNetworkRuns) {
  AnalyticModel model;
  std::stop_source stop;
  Denoiser denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon, {.weights = {{1}}},
                    stop.get_token());
  denoiser.denoise(latents(1), 3);
  stop.request_stop();
  try {
    denoiser.denoise(latents(1), 2);
    FAIL() << "went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kCancelled);
  }
  EXPECT_EQ(model.calls.size(), 1U);
}

TEST(Denoiser, RefusesImagesWithoutPrompt) {
  AnalyticModel model;
  EXPECT_THROW(Denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon, {.weights = {}}), Error);
  EXPECT_THROW(Denoiser(model, NoiseTable::stable_diffusion(), Prediction::kEpsilon, {.weights = {{1}, {}}}),
               Error);
}

}  // namespace
}  // namespace lowrank::sampling
