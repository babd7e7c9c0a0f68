#include "sampling/schedules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "fixture.h"
#include "sampling/beta_quantile.h"

namespace lowrank::sampling {
namespace {

using testing::read_json;

TEST(Schedules, EqualTheReferenceFunctions) {
  std::set<std::string_view> seen{"Automatic", "Trailing", "LCM"};  // the last two: few_steps_test.cc
  const auto table = NoiseTable::stable_diffusion();
  for (const auto& golden : read_json("schedules.json", "schedules")) {
    const auto* row = find_schedule(golden["scheduler"].get<std::string>());
    ASSERT_NE(row, nullptr) << golden["scheduler"];
    EXPECT_EQ(row->name, golden["name"].get<std::string>());
    EXPECT_EQ(row->is_offered, !golden.contains("origin")) << row->name;
    seen.insert(row->label);
    const ScheduleSettings settings{.sigma_min = golden.value("sigma_min", 0.0),
                                    .sigma_max = golden.value("sigma_max", 0.0),
                                    .rho = golden.value("rho", 0.0),
                                    .sdxl = golden.value("sdxl", false)};
    const auto sigmas = make_schedule(*row, table, golden["n"].get<int>(), settings);
    const auto expected = golden["sigmas"].get<std::vector<double>>();
    ASSERT_EQ(sigmas.size(), expected.size()) << row->name << ' ' << golden["n"];
    for (std::size_t i = 0; i < sigmas.size(); ++i) {
      // tan close to its pole magnifies float rounding; everything else agrees to a few float steps.
      const double tolerance = row->name == "kl_optimal" ? 1e-4 : 5e-6;
      EXPECT_NEAR(sigmas[i], expected[i], tolerance * expected[i])
          << row->name << " n " << golden["n"] << " i " << i;
    }
  }
  for (const auto& row : schedule_table())
    EXPECT_TRUE(seen.contains(row.label)) << row.label << " has no golden";
}

TEST(Schedules, EqualKDiffusionsInTheModelGoldens) {
  const testing::Tensors goldens("sd15-tiny/sd15-tiny-goldens.safetensors");
  const auto table = NoiseTable::stable_diffusion();
  for (const std::string name : {"uniform", "karras", "exponential", "polyexponential"}) {
    const auto golden = goldens[name == "uniform" ? "sample.sigmas" : "sample.sigmas_" + name].contiguous();
    const auto ours = make_schedule(*find_schedule(name), table, static_cast<int>(golden.numel()) - 1);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_NEAR(ours[i], golden.data_ptr<float>()[i], 2e-5 * ours[i]) << name << ' ' << i;
    }
  }
}

TEST(Schedules, OldKarrasRangeIsTenToATenth) {
  const auto sigmas =
      make_schedule(*find_schedule("karras"), NoiseTable::stable_diffusion(), 8, {.old_karras_range = true});
  EXPECT_NEAR(sigmas.front(), 10, 1e-4);
  EXPECT_NEAR(sigmas[7], 0.1, 1e-6);
}

TEST(Schedules, FallStrictlyForAnyNumberOfSteps) {
  const auto table = NoiseTable::stable_diffusion();
  for (const auto& row : schedule_table().subspan(1)) {
    for (int n = 1; n <= (row.name == "lcm" ? 50 : 150); ++n) {
      const auto sigmas = make_schedule(row, table, n);
      for (std::size_t i = 1; i < sigmas.size(); ++i)
        ASSERT_LT(sigmas[i], sigmas[i - 1]) << row.name << ' ' << n;
      ASSERT_GE(sigmas.size(), static_cast<std::size_t>(n) + 1) << row.name << ' ' << n;
    }
  }
}

TEST(Schedules, RefuseImpossibleNumbers) {
  const auto table = NoiseTable::stable_diffusion();
  const auto& karras = *find_schedule("karras");
  EXPECT_THROW(make_schedule(karras, table, 0), Error);
  EXPECT_THROW(make_schedule(karras, table, -3), Error);
  EXPECT_THROW(make_schedule(karras, table, 8, {.sigma_min = 5, .sigma_max = 2}), Error);
  EXPECT_THROW(make_schedule(karras, table, 8, {.sigma_min = -1}), Error);
  EXPECT_THROW(make_schedule(karras, table, 8, {.sigma_max = INFINITY}), Error);
  EXPECT_THROW(make_schedule(karras, table, 8, {.rho = -7}), Error);
  EXPECT_THROW(make_schedule(*find_schedule("beta"), table, 8, {.beta_alpha = 0}), Error);
}

TEST(Schedules, AreFoundByNameAndLabelWithCase) {
  EXPECT_EQ(find_schedule("SGM Uniform"), find_schedule("sgm_uniform"));
  EXPECT_EQ(find_schedule("KARRAS"), nullptr);
  EXPECT_EQ(find_schedule(""), nullptr);
  EXPECT_EQ(automatic_schedule().label, "Automatic");
}

TEST(BetaQuantile, EqualsClosedForms) {
  for (double p = 0.001; p < 1; p += 0.0137) {
    EXPECT_NEAR(beta_quantile(p, 1, 1), p, 1e-13);
    EXPECT_NEAR(beta_quantile(p, 0.5, 0.5), std::pow(std::sin(M_PI * p / 2), 2), 1e-12) << p;
    EXPECT_NEAR(beta_quantile(p, 2, 1), std::sqrt(p), 1e-12) << p;
    EXPECT_NEAR(beta_quantile(p, 1, 3.5), 1 - std::pow(1 - p, 1 / 3.5), 1e-12) << p;
  }
}

TEST(BetaQuantile, InvertsTheDistributionForAwkwardShapes) {
  for (const double alpha : {0.01, 0.3, 0.6, 1.0, 5.0, 40.0}) {
    for (const double beta : {0.01, 0.6, 1.0, 7.0}) {
      for (const double x : {0.02, 0.3, 0.5, 0.77, 0.98}) {
        const double p = incomplete_beta(x, alpha, beta);
        EXPECT_NEAR(incomplete_beta(beta_quantile(p, alpha, beta), alpha, beta), p, 1e-11)
            << alpha << ' ' << beta;
        EXPECT_NEAR(p + incomplete_beta(1 - x, beta, alpha), 1, 1e-12);
      }
    }
  }
  EXPECT_EQ(beta_quantile(0, 0.6, 0.6), 0);
  EXPECT_EQ(beta_quantile(1, 0.6, 0.6), 1);
}

}  // namespace
}  // namespace lowrank::sampling
