#include "sampling/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "fixture.h"

namespace lowrank::sampling {
namespace {

// Keys: torch_cpu_randn.seedS.SHAPE and philox.seedS.first_/second_SHAPE.
TEST(Rng, EqualsTorchAndCudaForEverySeedAndShape) {
  const testing::Tensors goldens("rng.safetensors");
  int compared = 0;
  for (const auto& view : goldens.all()) {
    const auto golden = goldens[view.name].contiguous();
    const auto seed = std::stoull(view.name.substr(view.name.find("seed") + 4));
    const bool is_philox = view.name.starts_with("philox");
    NormalGenerator generator(is_philox ? RngKind::kNv : RngKind::kCpu, seed);
    std::vector<float> ours(static_cast<std::size_t>(golden.numel()));
    generator.fill_normal(ours);
    if (view.name.find("second") != std::string::npos) generator.fill_normal(ours);
    const float* expected = golden.data_ptr<float>();
    for (std::size_t i = 0; i < ours.size(); ++i) {
      // Philox goes through double precision and must agree exactly, but for the last bit of log and sin.
      const double allowed = (is_philox ? 6e-8 : 2.4e-7) * std::max(1.0F, std::abs(expected[i]));
      ASSERT_NEAR(ours[i], expected[i], allowed) << view.name << " [" << i << "]";
    }
    ++compared;
  }
  EXPECT_EQ(compared, 30);
}

TEST(Rng, PhiloxBeginsAsPublished) {
  std::array<float, 12> numbers{};
  PhiloxGenerator(0).fill_normal(numbers);
  // The published numbers come from a card, whose logarithm and sine are in float32.
  EXPECT_NEAR(numbers[0], -0.92466259, 3e-7);
  EXPECT_NEAR(numbers[1], -0.42534415, 3e-7);
  EXPECT_NEAR(numbers[2], -2.6438457, 3e-7);
}

TEST(Rng, PhiloxPrefixDoesNotDependOnTheCount) {
  std::vector<float> few(7), many(1000);
  PhiloxGenerator(99).fill_normal(few);
  PhiloxGenerator(99).fill_normal(many);
  EXPECT_EQ(0, std::memcmp(few.data(), many.data(), few.size() * sizeof(float)));
}

TEST(Rng, CpuKeepsItsSpareNumberAcrossLargeCalls) {
  // torch.manual_seed(0): randn(5) then the sixth number of randn(6) comes first in the next small call, even
  // when a large call lies between.
  std::vector<float> six(6), five(5), large(32), one(1);
  TorchCpuGenerator(0).fill_normal(six);
  TorchCpuGenerator generator(0);
  generator.fill_normal(five);
  generator.fill_normal(large);
  generator.fill_normal(one);
  EXPECT_EQ(one[0], six[5]);
  EXPECT_NEAR(five[0], 1.5410, 5e-5);
  EXPECT_NEAR(five[4], -1.0845, 5e-5);
}

TEST(Rng, CpuUsesTheLow32BitsOfTheSeed) {
  std::vector<float> a(20), b(20);
  TorchCpuGenerator(5).fill_normal(a);
  TorchCpuGenerator((std::uint64_t{1} << 32) + 5).fill_normal(b);
  EXPECT_EQ(a, b);
  PhiloxGenerator(5).fill_normal(a);
  PhiloxGenerator((std::uint64_t{1} << 32) + 5).fill_normal(b);
  EXPECT_NE(a, b);
}

TEST(Rng, NamesAreReadWithoutCase) {
  EXPECT_EQ(find_rng("nv"), RngKind::kNv);
  EXPECT_EQ(find_rng("CPU"), RngKind::kCpu);
  EXPECT_EQ(find_rng("Gpu"), RngKind::kGpu);
  EXPECT_EQ(find_rng(""), std::nullopt);
  EXPECT_EQ(find_rng("TPU"), std::nullopt);
  EXPECT_EQ(rng_name(RngKind::kNv), "NV");
}

}  // namespace
}  // namespace lowrank::sampling
