// Colour correction against OpenCV, scikit-image and blendmodes (tools/fixtures/make_colour_correction.py).
#include "image/colour_correction.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "image/codec/codec.h"

namespace lowrank::image {
namespace {

const std::filesystem::path kImages = std::filesystem::path(LOWRANK_TEST_FIXTURES) / "image";

Picture fixture(const std::string& name) {
  return load_picture(kImages / name);
}

TEST(ColourCorrection, EqualsTheWebUi) {
  const Picture source = fixture("masking/source.png"), wheel = fixture("colour/wheel.png");
  for (const auto& [name, made, reference] : {std::tuple("source-like-wheel", &source, &wheel),
                                              {"wheel-like-source", &wheel, &source},
                                              {"source-like-itself", &source, &source}}) {
    const Picture ours = colour_corrected(*made, *reference);
    const Picture golden = fixture(std::string("colour/") + name + ".png");
    ASSERT_EQ(ours.rgb.size(), golden.rgb.size());
    // OpenCV turns Lab back into colours in whole numbers; ours do it in fractions.
    int largest = 0;
    std::size_t different = 0;
    for (std::size_t i = 0; i < ours.rgb.size(); ++i) {
      const int difference = std::abs(ours.rgb[i] - golden.rgb[i]);
      largest = std::max(largest, difference);
      different += difference > 1 ? 1 : 0;
    }
    EXPECT_LE(largest, 3) << name;
    EXPECT_LE(different, ours.rgb.size() / 50) << name;
  }
}

TEST(ColourCorrection, AGreyPictureStaysWhereItsReferenceIsGrey) {
  const Picture grey = Picture::blank(8, 8, 90), lighter = Picture::blank(8, 8, 200);
  for (const std::uint8_t level : colour_corrected(grey, lighter).rgb) EXPECT_NEAR(level, 90, 1);
}

}  // namespace
}  // namespace lowrank::image
