// What the tests of this room share: fixtures with their expected content, and pictures made by a formula.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/codec/codec.h"
#include "weights/crafted.h"

namespace lowrank::image {

using weights::as_bytes;
using weights::contents_of;
using weights::error_of;
using weights::TemporaryFolder;

inline std::string picture_file(const std::string& name) {
  return weights::fixture("image/" + name);
}

inline nlohmann::json expected() {
  return nlohmann::json::parse(contents_of(picture_file("expected.json")));
}

inline std::span<const std::byte> as_bytes(const std::vector<std::uint8_t>& bytes) {
  return std::as_bytes(std::span(bytes));
}

// A binary PPM with 8 bits, read without the room's own decoders.
inline Picture read_ppm(const std::string& path) {
  const std::string bytes = contents_of(path);
  std::istringstream header(bytes);
  std::string magic;
  int most = 0;
  Picture picture;
  header >> magic >> picture.width >> picture.height >> most;
  const auto size = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3;
  EXPECT_TRUE(magic == "P6" && most == 255 && bytes.size() > size) << path;
  if (bytes.size() > size) picture.rgb.assign(bytes.end() - static_cast<std::ptrdiff_t>(size), bytes.end());
  return picture;
}

// The largest difference of a channel; 256 when the sizes differ.
inline int largest_difference(const Picture& a, const Picture& b) {
  if (a.width != b.width || a.height != b.height || a.rgb.size() != b.rgb.size()) return 256;
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

// Every byte differs from its neighbours.
inline Picture busy_picture(int width, int height) {
  Picture picture = Picture::blank(width, height);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<std::uint8_t>(i * i * 31 + i * 7);
  return picture;
}

// Slow waves, which lossy formats keep well.
inline Picture smooth_picture(int width, int height) {
  Picture picture = Picture::blank(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = picture.pixel(x, y);
      pixel[0] = static_cast<std::uint8_t>(40 + 150 * x / width);
      pixel[1] = static_cast<std::uint8_t>(40 + 150 * y / height);
      pixel[2] = static_cast<std::uint8_t>(40 + 75 * x / width + 75 * y / height);
    }
  }
  return picture;
}

// One sentence that names the file: "NAME: what is wrong; what to do."
MATCHER_P(IsOneSentenceAbout, name, "is one sentence about " + std::string(name)) {
  const std::string text = arg;
  return text.find(name) != std::string::npos && text.ends_with('.') && !text.ends_with("..") &&
         text.find(". ") == std::string::npos && text.find('\n') == std::string::npos &&
         text.find("()") == std::string::npos && text.find(".)") == std::string::npos;
}

}  // namespace lowrank::image
