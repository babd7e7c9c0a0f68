#include "training/data/set_report.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "image/codec/codec.h"
#include "training/picture_folder.h"

namespace lowrank::training {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::TemporaryFolder;
using testing::write_text;

// Waves of a few random directions: a picture with edges everywhere.
image::Picture scene(int width, int height, int kind) {
  image::Picture picture = image::Picture::blank(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const double u = 6.0 * x / width, v = 6.0 * y / height;
      const double value = std::sin(u * (1 + kind % 3) + kind) * std::cos(v * (1 + kind % 5)) +
                           0.5 * std::sin(u * v / 3 + 2 * kind);
      for (int c = 0; c < 3; ++c) picture.pixel(x, y)[c] = static_cast<std::uint8_t>(128 + 80 * value);
    }
  return picture;
}

// A chequered board has the Laplacian ±8·a around its mean in the inside, a = half the contrast: variance 64·a² by hand.
TEST(SetReport, SharpnessIsTheVarianceOfTheLaplacian) {
  image::Picture board = image::Picture::blank(10, 8);
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 10; ++x)
      for (int c = 0; c < 3; ++c) board.pixel(x, y)[c] = (x + y) % 2 == 0 ? 110 : 90;
  EXPECT_NEAR(sharpness(board), 64 * 10.0 * 10.0, 0.5);
  EXPECT_NEAR(sharpness(image::Picture::blank(10, 8, 77)), 0, 1e-6);
}

TEST(SetReport, HashesSurviveScalingAndSavingButNotAnotherPicture) {
  const auto bits = [](const image::Picture& a, const image::Picture& b) {
    return std::popcount(perceptual_hash(a) ^ perceptual_hash(b));
  };
  for (int kind = 0; kind < 6; ++kind) {
    const image::Picture one = scene(96, 80, kind);
    EXPECT_LE(bits(one, image::resize(one, 60, 50)), kAlikeBits) << kind;
    image::Picture brighter = one;
    for (auto& value : brighter.rgb) value = static_cast<std::uint8_t>(std::min(255, value + 12));
    EXPECT_LE(bits(one, brighter), kAlikeBits) << kind;
    for (int other = 0; other < kind; ++other)
      EXPECT_GT(bits(one, scene(96, 80, other)), kAlikeBits) << kind << " and " << other;
  }
}

TEST(SetReport, TellsWhatWouldHarm) {
  TemporaryFolder folder;
  const auto save = [&](const char* name, const image::Picture& picture, const char* caption) {
    const auto path = folder.path() / "2_fox" / name;
    std::filesystem::create_directories(path.parent_path());
    image::save_picture(path, picture, {});
    if (*caption != 0) write_text(std::filesystem::path(path).replace_extension(".txt"), caption);
  };
  save("a.png", scene(128, 128, 1), "fox, snow");
  save("b.png", image::resize(scene(128, 128, 1), 100, 100), "fox, night");
  save("c.png", scene(128, 128, 2), "fox, Snow, snow");
  save("d.png", scene(40, 40, 4), "");
  const Dataset data = Dataset::open({.folder = folder.path(), .buckets = {.resolution = {64, 64}}});
  const SetReport report = report_on(data, 1, [](std::int64_t, std::int64_t) {}, {});
  ASSERT_EQ(report.alike.size(), 1u);
  EXPECT_EQ(report.alike[0].first, 0u);
  EXPECT_EQ(report.alike[0].second, 1u);
  EXPECT_FALSE(report.alike[0].is_same);
  ASSERT_EQ(report.enlarged.size(), 1u);
  EXPECT_EQ(report.enlarged[0].first, 3u);
  EXPECT_NEAR(report.enlarged[0].second, 1.6, 1e-9);
  EXPECT_EQ(report.own_captions, 3);
  EXPECT_EQ(report.trigger_captions, 1);
  EXPECT_THAT(report.common_tags, ElementsAre("fox"));
  EXPECT_THAT(report.tags, Contains(std::pair<std::string, std::int64_t>("snow", 2)));
  EXPECT_EQ(report.too_long.size(), 3u) << "more tokens than one";
}

}  // namespace
}  // namespace lowrank::training
