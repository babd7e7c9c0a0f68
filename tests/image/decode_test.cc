// Pixels of files that other programs wrote (tests/fixtures/image/make_fixtures.py says how).
#include <gtest/gtest.h>

#include "image/picture_files.h"

namespace lowrank::image {
namespace {

using ::testing::HasSubstr;

TEST(Decode, EveryFormGivesThePixelsOfAnIndependentReader) {
  const auto cases = expected()["pixels"];
  ASSERT_GE(cases.size(), 17u);
  for (const auto& one : cases) {
    const auto name = one["file"].get<std::string>();
    EXPECT_LE(largest_difference(load_picture(picture_file(name)), read_ppm(picture_file(name + ".ppm"))),
              one["tolerance"].get<int>())
        << name;
  }
}

TEST(Decode, ContentCountsAndNotTheName) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(picture_file("lossless.webp"), folder.path() / "fox.png");
  EXPECT_EQ(load_picture(folder.path() / "fox.png"), read_ppm(picture_file("lossless.webp.ppm")));
}

TEST(Decode, CmykAndAnimationAreRefusedWithTheRemedy) {
  const auto cmyk = error_of([] { load_picture(picture_file("cmyk.jpg")); });
  EXPECT_THAT(cmyk, IsOneSentenceAbout("cmyk.jpg"));
  EXPECT_THAT(cmyk, HasSubstr("CMYK"));
  EXPECT_THAT(cmyk, HasSubstr("save it again as an RGB picture"));
  const auto animated = error_of([] { load_picture(picture_file("animated.webp")); });
  EXPECT_THAT(animated, IsOneSentenceAbout("animated.webp"));
  EXPECT_THAT(animated, HasSubstr("animated"));
}

TEST(Decode, OtherFilesAreNoPictures) {
  for (const std::string& bytes : {std::string(), std::string("\x89"), std::string("GIF89a\1\0\1\0", 10),
                                   std::string("RIFF\x04\0\0\0WAVE", 12), std::string("\xff\xd8")}) {
    const auto message = error_of([&] { decode_picture(as_bytes(bytes), "fox.gif"); });
    EXPECT_THAT(message, IsOneSentenceAbout("fox.gif"));
    EXPECT_THAT(message, HasSubstr("neither a PNG, a JPEG nor a WebP"));
    EXPECT_THAT(error_of([&] { read_parameters(as_bytes(bytes), "fox.gif"); }),
                IsOneSentenceAbout("fox.gif"));
  }
  EXPECT_THAT(error_of([] { load_picture("nowhere/fox.png"); }), IsOneSentenceAbout("nowhere/fox.png"));
}

TEST(Decode, FormatNames) {
  EXPECT_EQ(picture_format("PNG"), PictureFormat::kPng);
  EXPECT_EQ(picture_format("jpg"), PictureFormat::kJpeg);
  EXPECT_EQ(picture_format("Jpeg"), PictureFormat::kJpeg);
  EXPECT_EQ(picture_format("webp"), PictureFormat::kWebp);
  EXPECT_THAT(error_of([] { picture_format("bmp"); }), IsOneSentenceAbout("'bmp'"));
}

}  // namespace
}  // namespace lowrank::image
