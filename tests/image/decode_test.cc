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

// tools/fixtures/make_picture_forms.py: held in eight ways, CMYK, GIF, BMP, TIFF, the first of several.
TEST(Decode, WhatPeopleBringIsReadAsPillowShowsIt) {
  const auto cases = nlohmann::json::parse(contents_of(picture_file("forms/forms.json")));
  ASSERT_GE(cases.size(), 75u);
  for (const auto& one : cases) {
    const auto name = one["file"].get<std::string>();
    Picture ours;
    EXPECT_EQ(error_of([&] { ours = load_picture(picture_file("forms/" + name)); }), "") << name;
    EXPECT_LE(largest_difference(ours, read_ppm(picture_file("forms/" + name + ".ppm"))),
              one["tolerance"].get<int>())
        << name;
    EXPECT_TRUE(is_picture_name(name)) << name;
  }
}

TEST(Decode, AMaskIsHeldLikeItsPicture) {
  const Picture seen = read_ppm(picture_file("forms/held-6.png.ppm"));
  const Mask mask = load_mask(picture_file("forms/held-6.png"));
  ASSERT_EQ(mask.width, seen.width);
  ASSERT_EQ(mask.height, seen.height);
  // Rounded as Pillow's convert("L") rounds.
  for (int y = 0; y < seen.height; ++y)
    for (int x = 0; x < seen.width; ++x)
      EXPECT_NEAR(mask.at(x, y),
                  0.299 * seen.pixel(x, y)[0] + 0.587 * seen.pixel(x, y)[1] + 0.114 * seen.pixel(x, y)[2], 1)
          << x << " " << y;
  const Mask alpha = load_mask(picture_file("forms/held-alpha.png"));
  EXPECT_TRUE(alpha.from_alpha);
  ASSERT_EQ(alpha.width, 7);  // the stored picture is 11 wide and 7 high, held by its side
  ASSERT_EQ(alpha.height, 11);
  // 8 turns anticlockwise: stored (x, y) is seen at (y, 10 - x); opaque where 3 <= x < 9 and 2 <= y < 5.
  for (int y = 0; y < alpha.height; ++y)
    for (int x = 0; x < alpha.width; ++x)
      EXPECT_EQ(alpha.at(x, y), x >= 2 && x < 5 && 10 - y >= 3 && 10 - y < 9 ? 255 : 90) << x << " " << y;
}

TEST(Decode, TextsOfReadOnlyFormats) {
  EXPECT_EQ(load_parameters(picture_file("forms/animated.gif")), "a red fox\nSteps: 3, Seed: 7");
  EXPECT_EQ(load_parameters(picture_file("forms/plain.gif")), std::nullopt);
  EXPECT_EQ(load_parameters(picture_file("forms/rgb.bmp")), std::nullopt);
  EXPECT_EQ(load_parameters(picture_file("forms/raw.tiff")), std::nullopt);
}

TEST(Decode, OtherFilesAreNoPicturesAndAreNamedWhereKnown) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> cases[] = {
      {"", "is empty"},
      {"\x89", "not a PNG, JPEG, WebP, GIF, BMP or TIFF picture"},
      {"RIFF\x04\0\0\0WAVE"s, "not a PNG"},
      {"\xff\xd8", "not a PNG"},
      {"BM"s, "not a PNG"},
      {"\0\0\0\x1c"s + "ftypavif\0\0\0\0"s, "an AVIF picture"},
      {"\0\0\0\x18"s + "ftypheic\0\0\0\0"s, "a HEIC picture"},
      {"\xff\x0a\x00"s, "a JPEG XL picture"},
      {"<!DOCTYPE html><html>", "a web page"},
      {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"}};
  for (const auto& [bytes, says] : cases) {
    const auto message = error_of([&, &file = bytes] { decode_picture(as_bytes(file), "fox.png"); });
    EXPECT_THAT(message, IsOneSentenceAbout("fox.png"));
    EXPECT_THAT(message, HasSubstr(says));
    EXPECT_THAT(error_of([&, &file = bytes] { read_parameters(as_bytes(file), "fox.png"); }),
                IsOneSentenceAbout("fox.png"));
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
