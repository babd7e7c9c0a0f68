#include "sampling/noise_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "fixture.h"

namespace lowrank::sampling {
namespace {

using testing::read_json;

TEST(NoiseTable, EqualsTheReferenceTable) {
  const auto document = read_json("schedules.json");
  const auto table = NoiseTable::stable_diffusion();
  for (const auto& row : document["table"]) {
    const auto t = row["t"].get<std::size_t>();
    EXPECT_NEAR(table.alphas_cumprod()[t] / row["alphas_cumprod"].get<double>(), 1, 2e-7) << t;
    EXPECT_NEAR(table.sigmas()[t] / row["sigma"].get<double>(), 1, 3e-6) << t;  // 1 − ᾱ cancels near t = 0
    EXPECT_NEAR(table.log_sigmas()[t], row["log_sigma"].get<double>(), 3e-6) << t;
  }
}

TEST(NoiseTable, SigmaToTimestepInterpolatesAndClamps) {
  const auto table = NoiseTable::stable_diffusion();
  for (const auto& row : read_json("schedules.json", "sigma_to_t")) {
    EXPECT_NEAR(table.timestep_of(row["sigma"].get<float>()), row["t"].get<double>(), 2e-3) << row;
  }
}

TEST(NoiseTable, TimestepToSigmaInterpolatesTheLogarithm) {
  const auto table = NoiseTable::stable_diffusion();
  for (const auto& row : read_json("schedules.json", "t_to_sigma")) {
    EXPECT_NEAR(table.sigma_at(row["t"].get<float>()) / row["sigma"].get<double>(), 1, 3e-6) << row;
  }
}

TEST(NoiseTable, ZeroTerminalSnrEqualsTheReference) {
  const auto golden = read_json("schedules.json", "zero_terminal_snr");
  const auto table = NoiseTable::stable_diffusion().zero_terminal_snr();
  const auto near = [&](float ours, const char* key, double tolerance) {
    EXPECT_NEAR(ours / golden[key].get<double>(), 1, tolerance) << key;
  };
  near(table.alphas_cumprod()[0], "alphas_cumprod_first", 1e-6);
  near(table.alphas_cumprod()[500], "alphas_cumprod_500", 1e-5);
  near(table.alphas_cumprod()[998], "alphas_cumprod_998", 1e-3);  // a difference of nearly equal roots
  near(table.alphas_cumprod()[999], "alphas_cumprod_last", 1e-6);
  near(table.sigmas()[0], "sigma_first", 1e-4);
  near(table.sigmas()[500], "sigma_500", 1e-5);
  near(table.sigmas()[999], "sigma_last", 1e-6);
}

TEST(NoiseTable, DowncastRoundsAlphasToHalf) {
  const auto plain = NoiseTable::stable_diffusion(), half = plain.downcast();
  for (std::size_t t = 0; t < 1000; ++t) {
    const float alpha = half.alphas_cumprod()[t];
    EXPECT_EQ(alpha, static_cast<float>(c10::Half(plain.alphas_cumprod()[t])));
    EXPECT_EQ(half.sigmas()[t], std::sqrt((1 - alpha) / alpha));
  }
}

TEST(NoiseTable, QuantizedGivesWholeTimesteps) {
  const auto plain = NoiseTable::stable_diffusion(), whole = plain.quantized();
  for (float sigma = 0.02F; sigma < 20; sigma *= 1.13F) {
    const float t = whole.timestep_of(sigma);
    EXPECT_EQ(t, std::round(t));
    EXPECT_NEAR(t, plain.timestep_of(sigma), 0.55) << sigma;
  }
}

TEST(NoiseTable, LcmKeepsEvery20thTimestep) {
  const auto plain = NoiseTable::stable_diffusion(), lcm = plain.lcm();
  ASSERT_EQ(lcm.sigmas().size(), 50U);
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(lcm.sigmas()[i], plain.sigmas()[i * 20 + 19]);
    EXPECT_EQ(lcm.timestep_of(lcm.sigmas()[i]), static_cast<float>(i * 20 + 19));
    EXPECT_NEAR(lcm.sigma_at(static_cast<float>(i * 20 + 19)) / lcm.sigmas()[i], 1, 1e-6);
  }
}

TEST(NoiseTable, RefusesAlphasOutsideTheUnitInterval) {
  EXPECT_THROW(NoiseTable::from_alphas_cumprod({0.9F, 0.0F}), Error);
  EXPECT_THROW(NoiseTable::from_alphas_cumprod({1.5F, 0.5F}), Error);
  EXPECT_THROW(NoiseTable::from_alphas_cumprod({0.5F, 0.9F}), Error);
  EXPECT_THROW(NoiseTable::from_alphas_cumprod({0.5F, NAN}), Error);
  EXPECT_THROW(NoiseTable::from_alphas_cumprod({0.5F}), Error);
}

}  // namespace
}  // namespace lowrank::sampling
