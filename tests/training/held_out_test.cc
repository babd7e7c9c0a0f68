#include "training/data/held_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "training/picture_folder.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;
using testing::write_example;

class HeldOut : public ::testing::Test {
 protected:
  HeldOut() {
    for (int i = 0; i < 20; ++i) write(i);
    for (int i = 0; i < 4; ++i)
      write_example(folder_.path() / "1_hare" / (std::to_string(i) + ".png"), 96, 64, 30 + i, "hare");
  }
  void write(int i) {
    write_example(folder_.path() / "3_fox" / (std::to_string(i) + ".png"), 64 + i, 64, i, "fox");
  }
  DatasetSplit split(double share, std::uint64_t seed = 0) const {
    const Dataset data =
        Dataset::open({.folder = folder_.path(), .buckets = {.resolution = {64, 64}}, .batch_size = 2});
    return split_dataset(data, {.split = share, .seed = seed}, 7);
  }
  static std::set<std::string> names(const Dataset& data) {
    std::set<std::string> all;
    for (const auto& example : data.examples()) all.insert(example.picture.string());
    return all;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(HeldOut, EachPictureIsInOnePartAndEachFolderGivesItsShare) {
  const DatasetSplit parts = split(0.25);
  ASSERT_TRUE(parts.held_out.has_value());
  EXPECT_EQ(parts.held_out->examples().size(), 6u);
  EXPECT_EQ(parts.held_out->subsets()[0].pictures + parts.training.subsets()[0].pictures, 4) << "hares";
  EXPECT_EQ(parts.held_out->subsets()[0].pictures, 1);
  auto all = names(parts.training);
  for (const auto& name : names(*parts.held_out)) EXPECT_TRUE(all.insert(name).second) << name;
  EXPECT_EQ(all.size(), 24u);
  EXPECT_EQ(parts.training.pictures_per_epoch(), 15 * 3 + 3);
  // What an epoch shows are pictures of the training part, repeated as their folder says.
  std::map<std::string, int> shown;
  for (const auto& batch : parts.training.epoch(1, 0))
    for (const std::size_t i : batch) ++shown[parts.training.examples()[i].picture.string()];
  EXPECT_EQ(shown.size(), 18u);
  for (const auto& [name, times] : shown) EXPECT_EQ(times, name.find("3_fox") != std::string::npos ? 3 : 1);
  EXPECT_FALSE(split(0).held_out.has_value());
}

TEST_F(HeldOut, TheChoiceFollowsFromSeedAndContentAlone) {
  EXPECT_EQ(names(*split(0.25).held_out), names(*split(0.25).held_out));
  EXPECT_EQ(names(*split(0.25, 7).held_out), names(*split(0.25).held_out)) << "0: the run's seed";
  EXPECT_NE(names(*split(0.25, 8).held_out), names(*split(0.25).held_out));
  const auto before = names(*split(0.25).held_out);
  write(20);
  write(21);
  std::size_t kept = 0;
  for (const auto& name : names(*split(0.25).held_out)) kept += before.count(name);
  EXPECT_GE(kept, before.size() - 2) << "two more pictures take at most their own places";
}

TEST_F(HeldOut, OnePictureAtLeastIsHeldOutAndOneIsLeft) {
  EXPECT_EQ(split(0.001).held_out->examples().size(), 1u);
  std::filesystem::remove_all(folder_.path() / "3_fox");
  for (int i = 1; i < 4; ++i) {
    std::filesystem::remove(folder_.path() / "1_hare" / (std::to_string(i) + ".png"));
    std::filesystem::remove(folder_.path() / "1_hare" / (std::to_string(i) + ".txt"));
  }
  try {
    split(0.5);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--validation-split is 0.5"));
  }
}

}  // namespace
}  // namespace lowrank::training
