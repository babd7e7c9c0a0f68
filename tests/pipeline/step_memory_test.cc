// Where a step needs more memory than there is, its rows go through the U-Net apart: the picture stays, and it is said.
#include "pipeline/generate/step_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "pipeline/tiny_session.h"

namespace lowrank {
namespace {

using pipeline::plan_step;
using pipeline::StepMemory;

TEST(StepMemory, AsManyRowsAsFitGoTogether) {
  const StepMemory needed{.weights = 1000, .row = 100, .rows = 4};
  const auto at_once = [&](std::int64_t available) { return plan_step(needed, available).rows_at_once; };
  EXPECT_EQ(at_once(1400), 0);
  EXPECT_EQ(at_once(1399), 3);
  EXPECT_EQ(at_once(1299), 2);
  EXPECT_EQ(at_once(1199), 1);
  EXPECT_EQ(at_once(0), 1);
  EXPECT_TRUE(plan_step(needed, 1400).warning.empty());
}

TEST(StepMemory, WhatIsStillTooMuchIsSaidToBe) {
  const StepMemory needed{.weights = 5'130'000'000, .row = 260'000'000, .rows = 2};
  const std::string fits = plan_step(needed, 5'500'000'000).warning,
                    too_much = plan_step(needed, 5'000'000'000).warning;
  EXPECT_NE(fits.find("1 of its 2 rows"), std::string::npos) << fits;
  EXPECT_EQ(fits.find("swap"), std::string::npos) << fits;
  EXPECT_NE(too_much.find("swap"), std::string::npos) << too_much;
  const auto alone = plan_step({.weights = 100, .row = 100, .rows = 1}, 50);
  EXPECT_EQ(alone.rows_at_once, 0);
  EXPECT_NE(alone.warning.find("swap"), std::string::npos) << alone.warning;
}

pipeline::GenerationResult made_with(std::int64_t available, const request::GenerationRequest& request) {
  pipeline::SessionOptions options{.threads = 2, .version = "LowRank test"};
  options.available_memory = [=] { return available; };
  pipeline::Session session(testing::tiny_resources(), std::move(options));
  return session.generate(request);
}

TEST(StepMemory, ScarceMemoryChangesNoPictureAndIsTold) {
  for (const int step_cache : {1, 2}) {
    request::GenerationRequest request = testing::tiny_request("a fox AND a hat :0.5");
    request.batch_size = 2;
    request.step_cache = step_cache;
    const auto whole = made_with(std::int64_t{1} << 40, request), apart = made_with(1, request);
    EXPECT_GE(apart.unet_passes, 6 * whole.unet_passes) << "2 pictures, of 2 prompts and a negative one each";
    ASSERT_EQ(whole.pictures.size(), apart.pictures.size());
    for (std::size_t i = 0; i < whole.pictures.size(); ++i) {
      const auto &a = whole.pictures[i].picture.rgb, &b = apart.pictures[i].picture.rgb;
      ASSERT_EQ(a.size(), b.size());
      int most = 0;
      for (std::size_t at = 0; at < a.size(); ++at) most = std::max(most, std::abs(a[at] - b[at]));
      EXPECT_LE(most, 1);
    }
    const auto is_told = [](const pipeline::GenerationResult& result) {
      return std::ranges::any_of(result.warnings, [](const std::string& warning) {
        return warning.find("went through the U-Net at a time") != std::string::npos;
      });
    };
    EXPECT_TRUE(is_told(apart));
    EXPECT_FALSE(is_told(whole));
  }
}

}  // namespace
}  // namespace lowrank
