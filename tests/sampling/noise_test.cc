#include "sampling/noise.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "fixture.h"
#include "support/expect_close.h"

namespace lowrank::sampling {
namespace {

using lowrank::testing::expect_close;
using testing::read_json;

ImageNoiseOptions options_of(const nlohmann::json& golden) {
  ImageNoiseOptions options{.rng = *find_rng(golden["source"].get<std::string>()),
                            .seeds = golden["seeds"].get<std::vector<std::uint64_t>>(),
                            .height = golden["height"].get<std::int64_t>(),
                            .width = golden["width"].get<std::int64_t>()};
  if (golden.contains("subseeds")) options.subseeds = golden["subseeds"].get<std::vector<std::uint64_t>>();
  options.subseed_strength = golden.value("strength", 0.0);
  options.eta_noise_seed_delta = golden.value("ensd", 0);
  if (golden.contains("resize")) {
    options.seed_resize_from_height = golden["resize"][0].get<int>();
    options.seed_resize_from_width = golden["resize"][1].get<int>();
  }
  return options;
}

// First noise and the two after it, for variations, size changes and seed deltas, from both sources.
TEST(ImageNoise, EqualsTheWebUi) {
  const testing::Tensors goldens("samplers/samplers.safetensors");
  const auto document = read_json("samplers/samplers.json");
  for (const auto& golden : document["rng"]) {
    const auto noise = make_image_noise(options_of(golden));
    for (int i = 0; i < 3; ++i) {
      const auto key = golden["name"].get<std::string>() + "." + std::to_string(i);
      EXPECT_TRUE(expect_close(noise->next(), goldens[key], {.rel = 3e-6},
                               golden.dump() + " draw " + std::to_string(i)));
    }
  }
  EXPECT_EQ(document["rng"].size(), 20U);
}

TEST(ImageNoise, ABatchEqualsTheImagesMadeAlone) {
  for (const auto kind : {RngKind::kGpu, RngKind::kCpu}) {
    ImageNoiseOptions all{.rng = kind,
                          .seeds = {3, 9, 4},
                          .subseeds = {1, 2, 3},
                          .subseed_strength = 0.2,
                          .height = 3,
                          .width = 5};
    const auto batch = make_image_noise(all);
    batch->set_sigma_range(0.03F, 14.6F);
    std::vector<at::Tensor> draws;
    for (int i = 0; i < 3; ++i) draws.push_back(batch->next());
    draws.push_back(batch->between(9, 2));
    for (std::size_t image = 0; image < 3; ++image) {
      ImageNoiseOptions one = all;
      one.seeds = {all.seeds[image]};
      one.subseeds = {all.subseeds[image]};
      const auto alone = make_image_noise(one);
      alone->set_sigma_range(0.03F, 14.6F);
      const auto index = static_cast<std::int64_t>(image);
      for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(at::equal(alone->next()[0], draws[static_cast<std::size_t>(i)][index]));
      EXPECT_TRUE(at::equal(alone->between(9, 2)[0], draws[3][index]));
    }
  }
}

TEST(ImageNoise, GpuEqualsNv) {
  ImageNoiseOptions options{.rng = RngKind::kGpu, .seeds = {42}, .height = 4, .width = 4};
  const auto gpu = make_image_noise(options);
  options.rng = RngKind::kNv;
  EXPECT_TRUE(at::equal(gpu->next(), make_image_noise(options)->next()));
}

TEST(ImageNoise, RefusesNoImagesAndNoSize) {
  EXPECT_THROW(make_image_noise({.seeds = {}, .height = 4, .width = 4}), Error);
  EXPECT_THROW(make_image_noise({.seeds = {1}, .height = 0, .width = 4}), Error);
  EXPECT_THROW(make_image_noise({.seeds = {1},
                                 .seed_resize_from_width = 4,
                                 .seed_resize_from_height = 64,
                                 .height = 4,
                                 .width = 4}),
               Error);
}

TEST(Slerp, NearlyEqualNoisesMixWithSwappedWeights) {
  const auto low = at::ones({1, 4, 2}), high = at::ones({1, 4, 2}) * 3;
  EXPECT_TRUE(expect_close(slerp(0.25, low, high), at::full({1, 4, 2}, 0.25 * 1 + 0.75 * 3), {.rel = 1e-6}));
}

TEST(RecordedNoise, GivesItsTensorsInOrderAndThenFails) {
  const auto draws = at::arange(8, at::kFloat).reshape({2, 1, 1, 2, 2});
  const auto noise = make_recorded_noise(draws);
  EXPECT_TRUE(at::equal(noise->next(), draws[0]));
  EXPECT_TRUE(at::equal(noise->between(2, 1), draws[1]));
  EXPECT_THROW(noise->next(), Error);
}

}  // namespace
}  // namespace lowrank::sampling
