// Pictures and masks around inpainting, to the byte as the web UI's own functions make them.
#include "image/masking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "image/codec/codec.h"
#include "image/resample.h"

namespace lowrank::image {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(LOWRANK_TEST_FIXTURES) / "image/masking";

nlohmann::json cases(const char* name) {
  std::ifstream file(kFolder / "cases.json");
  return nlohmann::json::parse(file).at(name);
}
Picture picture(const std::string& name) {
  return load_picture(kFolder / name);
}
Mask mask(const std::string& name) {
  return load_mask(kFolder / name);
}

template <typename Bytes>
int largest_difference(const Bytes& a, const Bytes& b) {
  EXPECT_EQ(a.size(), b.size());
  int largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

Rect rect(const nlohmann::json& json) {
  return {json.at(0).get<int>(), json.at(1).get<int>(), json.at(2).get<int>(), json.at(3).get<int>()};
}

TEST(Mask, TransparencyIsTheMaskWhereItIsUsed) {
  const Mask faded = mask("faded.png");
  EXPECT_TRUE(faded.from_alpha);
  EXPECT_EQ(faded.grey, mask("faded-soft.png").grey);
  EXPECT_EQ(rounded(faded).grey, mask("faded-rounded.png").grey);
}

TEST(Mask, BrightnessIsTheMaskOfAnOpaquePicture) {
  const Mask bright = mask("source.png");
  EXPECT_FALSE(bright.from_alpha);
  EXPECT_EQ(bright.grey, mask("source-mask.png").grey);
  EXPECT_EQ(rounded(bright).grey, bright.grey);
}

TEST(Mask, InvertedTwiceIsTheSame) {
  const Mask soft = mask("blur-4-4.png");
  EXPECT_NE(inverted(soft).grey, soft.grey);
  EXPECT_EQ(inverted(inverted(soft)).grey, soft.grey);
}

TEST(Mask, BlurEqualsOpenCv) {
  for (const auto& c : cases("blur"))
    EXPECT_EQ(blurred(mask("mask.png"), c.at("x"), c.at("y")).grey, mask(c.at("file")).grey) << c;
}

TEST(Mask, TheCoveredRectangleIsPaddedWithinThePicture) {
  for (const auto& c : cases("covered"))
    EXPECT_EQ(covered(mask(c.at("mask")), c.at("padding")), rect(c.at("rect"))) << c;
  EXPECT_EQ(covered({.width = 2, .height = 2, .grey = {0, 0, 0, 0}}, 9), std::nullopt);
}

TEST(Mask, ARectangleGrowsToTheProportionsOfTheModel) {
  for (const auto& c : cases("expanded"))
    EXPECT_EQ(expanded(rect(c.at("from")), c.at("width"), c.at("height"), 57, 45), rect(c.at("to"))) << c;
}

TEST(Masking, ColoursFlowUnderTheMask) {
  for (const auto& c : cases("filled"))
    EXPECT_EQ(
        largest_difference(filled(picture("source.png"), mask(c.at("mask"))).rgb, picture(c.at("file")).rgb),
        0)
        << c;
}

TEST(Masking, TheOriginalIsLaidOverWhatWasMade) {
  for (const auto& c : cases("composited")) {
    std::optional<Rect> place;
    if (!c.at("place").is_null()) place = rect(c.at("place"));
    const Picture ours = composited(picture("source.png"), mask(c.at("mask")), picture(c.at("made")), place);
    EXPECT_EQ(largest_difference(ours.rgb, picture(c.at("file")).rgb), 0) << c;
  }
}

TEST(Fit, EqualsTheWebUi) {
  for (const auto& c : cases("fit")) {
    const auto how = static_cast<Fit>(c.at("mode").get<int>());
    const int width = c.at("width"), height = c.at("height");
    EXPECT_EQ(
        largest_difference(fit(picture("source.png"), width, height, how).rgb, picture(c.at("file")).rgb), 0)
        << c;
    EXPECT_EQ(largest_difference(fit(mask("blur-4-4.png"), width, height, how).grey, mask(c.at("mask")).grey),
              0)
        << c;
  }
}

TEST(Fit, WhatEnlargesIsAskedOnlyToEnlarge) {
  int asked = 0;
  const auto enlarge = [&](const Picture& p, int width, int height) {
    ++asked;
    return resample(p, width, height, Filter::kNearest);
  };
  fit(picture("source.png"), 40, 40, Fit::kStretch, enlarge);
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(fit(picture("source.png"), 114, 90, Fit::kStretch, enlarge), picture("nearest-114x90.png"));
  EXPECT_EQ(asked, 1);
}

TEST(Resample, NearestAndBicubicEqualPillow) {
  for (const auto& size : cases("sizes")) {
    const int width = size.at(0), height = size.at(1);
    const std::string name = std::to_string(width) + "x" + std::to_string(height) + ".png";
    EXPECT_EQ(resample(picture("source.png"), width, height, Filter::kNearest), picture("nearest-" + name))
        << name;
    EXPECT_EQ(resample(mask("mask.png"), width, height, Filter::kBicubic).grey, mask("bicubic-" + name).grey)
        << name;
  }
}

}  // namespace
}  // namespace lowrank::image
