#include "sampling/brownian.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fixture.h"
#include "sampling/noise.h"
#include "support/expect_close.h"

namespace lowrank::sampling {
namespace {

using testing::read_json;

TEST(SeedSequence, EqualsNumpy) {
  for (const auto& golden : read_json("brownian.json", "seed_sequence")) {
    std::vector<std::uint64_t> key;
    if (!golden["spawn_key"].is_null()) key = golden["spawn_key"].get<std::vector<std::uint64_t>>();
    const auto expected = golden["state"].get<std::vector<std::uint32_t>>();
    EXPECT_EQ(seed_sequence(golden["entropy"].get<std::uint64_t>(), key,
                            golden["pool_size"].get<std::size_t>(), expected.size()),
              expected)
        << golden;
  }
}

TEST(BrownianNoise, EqualsTorchsdeForEveryCall) {
  int calls = 0;
  for (const auto& golden : read_json("brownian.json", "brownian")) {
    const auto shape = golden["shape"].get<std::vector<std::int64_t>>();
    ImageNoiseOptions options{.rng = *find_rng(golden["rng"].get<std::string>()),
                              .seeds = golden["seeds"].get<std::vector<std::uint64_t>>(),
                              .channels = shape[1],
                              .height = shape[2],
                              .width = shape[3]};
    const auto noise = make_image_noise(options);
    noise->set_sigma_range(golden["sigma_min"].get<float>(), golden["sigma_max"].get<float>());
    for (const auto& call : golden["calls"]) {
      const auto ours = noise->between(call["sigma"].get<float>(), call["sigma_next"].get<float>());
      const auto expected = call["noise"].get<std::vector<float>>();
      ASSERT_EQ(ours.sizes(), at::IntArrayRef(shape));
      const auto flat = ours.flatten().contiguous();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(flat.data_ptr<float>()[i], expected[i], 2e-6)
            << golden["rng"] << " call " << call["sigma"] << " [" << i << "]";
      }
      ++calls;
    }
  }
  EXPECT_GT(calls, 20);
}

TEST(BrownianTree, IncrementsAddUpAndDoNotDependOnTheOrderOfQueries) {
  BrownianTree tree(RngKind::kNv, 3, 0.03, 14.6, 8), other(RngKind::kNv, 3, 0.03, 14.6, 8);
  const auto whole = tree.increment(0.5, 9), low = tree.increment(0.5, 2.25), high = tree.increment(2.25, 9);
  for (double place = 14; place > 0.1; place *= 0.61)
    other.increment(0.04, place);  // fills and clears its memory
  for (double place = 0.1; place < 14; place += 0.37) other.increment(place, place + 0.2);
  EXPECT_EQ(other.increment(0.5, 9), whole);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(low[i] + high[i], whole[i], 1e-5);
}

TEST(BrownianTree, IncrementsHaveTheVarianceOfTheirLength) {
  double sum = 0;
  constexpr int kTrees = 200;
  for (std::uint64_t seed = 0; seed < kTrees; ++seed) {
    for (const float value : BrownianTree(RngKind::kNv, seed, 0.03, 14.6, 50).increment(1.3, 5.2))
      sum += value * value;
  }
  EXPECT_NEAR(sum / (kTrees * 50) / 3.9, 1, 0.05);  // 10000 squares of normals: standard deviation 0.014
}

TEST(BrownianTree, EqualPlacesGiveZerosAndPlacesOutsideAreClipped) {
  BrownianTree tree(RngKind::kCpu, 3, 1, 2, 4);
  EXPECT_EQ(tree.increment(1.5, 1.5), std::vector<float>(4, 0));
  EXPECT_EQ(tree.increment(1.5, 1.5000001), std::vector<float>(4, 0));
  EXPECT_EQ(tree.increment(0, 99), tree.increment(1, 2));
  EXPECT_EQ(tree.increment(5, 6), std::vector<float>(4, 0));
}

}  // namespace
}  // namespace lowrank::sampling
