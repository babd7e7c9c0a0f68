// Resizing against Pillow's Lanczos, cropping and pasting.
#include "image/picture.h"

#include <gtest/gtest.h>

#include "image/picture_files.h"

namespace lowrank::image {
namespace {

TEST(Resize, EqualsPillow) {
  const Picture source = load_picture(picture_file("resize/source.png"));
  for (const auto& [width, height] : {std::pair(31, 23), {97, 80}, {7, 5}, {48, 13}, {60, 20}, {1, 1}}) {
    const auto name = "resize/" + std::to_string(width) + "x" + std::to_string(height) + ".png";
    EXPECT_LE(largest_difference(resize(source, width, height), load_picture(picture_file(name))), 0) << name;
  }
}

TEST(Resize, OneColourStaysThatColour) {
  for (const int value : {0, 1, 128, 254, 255}) {
    const auto colour = static_cast<std::uint8_t>(value);
    for (const auto& [width, height] : {std::pair(1, 1), {3, 200}, {500, 2}, {37, 41}})
      EXPECT_EQ(resize(Picture::blank(37, 23, colour), width, height), Picture::blank(width, height, colour));
  }
  EXPECT_EQ(resize(Picture::blank(1, 1, 9), 40, 30), Picture::blank(40, 30, 9));
}

TEST(Resize, TheSameSizeIsTheSamePicture) {
  const Picture picture = busy_picture(13, 8);
  EXPECT_EQ(resize(picture, 13, 8), picture);
}

TEST(Crop, TakesTheRectangle) {
  const Picture picture = busy_picture(10, 8), part = crop(picture, 3, 2, 4, 5);
  ASSERT_EQ(part.rgb.size(), 4u * 5 * 3);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 4; ++x)
      for (int c = 0; c < 3; ++c) EXPECT_EQ(part.pixel(x, y)[c], picture.pixel(x + 3, y + 2)[c]);
  EXPECT_EQ(crop(picture, 0, 0, 10, 8), picture);
  for (const auto& [x, y, width, height] : {std::tuple(7, 2, 4, 5),
                                            {-1, 0, 4, 5},
                                            {0, 4, 4, 5},
                                            {0, 0, 0, 5},
                                            {2'147'483'647, 0, 4, 5},
                                            {1, 0, 2'147'483'647, 5}})
    EXPECT_THROW(crop(picture, x, y, width, height), Error);
}

TEST(Paste, WhatFallsOutsideIsLeftOut) {
  const Picture stamp = busy_picture(4, 3);
  for (const auto& [left, top] :
       {std::pair(2, 3), {-2, -1}, {5, 4}, {4, -3}, {-4, 0}, {7, 6}, {100, 100}, {-9, -9}}) {
    Picture sheet = Picture::blank(7, 6);
    paste(sheet, stamp, left, top);
    for (int y = 0; y < 6; ++y) {
      for (int x = 0; x < 7; ++x) {
        const bool inside = x >= left && x < left + 4 && y >= top && y < top + 3;
        for (int c = 0; c < 3; ++c)
          ASSERT_EQ(sheet.pixel(x, y)[c], inside ? stamp.pixel(x - left, y - top)[c] : 255)
              << left << ' ' << top;
      }
    }
  }
}

}  // namespace
}  // namespace lowrank::image
