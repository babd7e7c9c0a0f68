// Pixels out and in again, and saving.
#include <gtest/gtest.h>

#include "image/picture_files.h"

namespace lowrank::image {
namespace {

using ::testing::HasSubstr;

Picture through(const Picture& picture, const EncodeOptions& options) {
  const auto bytes = encode_picture(picture, options);
  return decode_picture(as_bytes(bytes), "through");
}

TEST(Encode, PngAndWebpAtQuality100LoseNothing) {
  for (const auto& [width, height] : {std::pair(1, 1), {1, 9}, {17, 3}, {64, 65}}) {
    const Picture picture = busy_picture(width, height);
    for (const std::string text : {"", "a fox"}) {
      EXPECT_EQ(through(picture, {.parameters = text}), picture);
      EXPECT_EQ(through(picture, {.format = PictureFormat::kWebp, .quality = 100, .parameters = text}),
                picture);
    }
  }
}

TEST(Encode, LossyFormatsStayNearAndQualityCosts) {
  const Picture picture = smooth_picture(64, 48);
  for (const auto format : {PictureFormat::kJpeg, PictureFormat::kWebp}) {
    // Slow waves at quality 90: a handful of levels, where busy noise would lose tens.
    EXPECT_LE(largest_difference(through(picture, {.format = format, .quality = 90}), picture), 8);
    const Picture busy = busy_picture(64, 48);
    EXPECT_LT(encode_picture(busy, {.format = format, .quality = 20}).size(),
              encode_picture(busy, {.format = format, .quality = 90}).size());
    EXPECT_EQ(encode_picture(busy, {.format = format}), encode_picture(busy, {.format = format}));
  }
}

TEST(Encode, SavedFilesAreLoadedAgain) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "new folder" / "fox.png";
  save_picture(path, busy_picture(12, 5), {.parameters = "first"});
  save_picture(path, busy_picture(5, 12), {.parameters = "second"});
  EXPECT_EQ(load_picture(path), busy_picture(5, 12));
  EXPECT_EQ(load_parameters(path), "second");
}

TEST(Encode, PicturesTooLargeForAFormatAreRefusedByName) {
  const TemporaryFolder folder;
  for (const auto& [name, format, width] : {std::tuple("wide.webp", PictureFormat::kWebp, 16'384),
                                            std::tuple("wide.jpg", PictureFormat::kJpeg, 65'501)}) {
    try {
      save_picture(folder.path() / name, Picture::blank(width, 1), {.format = format});
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kUnsupported) << name;
      EXPECT_THAT(error.what(), IsOneSentenceAbout(name));
      EXPECT_THAT(error.what(), HasSubstr("use PNG"));
    }
  }
}

}  // namespace
}  // namespace lowrank::image
