// The formats in which pictures are written, and what their files say beside the pixels.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lowrank::image {

enum class PictureFormat { kPng, kJpeg, kWebp };

inline constexpr int kUsualQuality = 80;  // of JPEG and WebP, where nobody chose one

struct EncodeOptions {
  PictureFormat format = PictureFormat::kPng;
  int quality = kUsualQuality;  // 1…100, JPEG and WebP; WebP at 100 is lossless
  std::string parameters = {};  // UTF-8; empty: no text is stored
};

// What else a PNG says about itself, as Pillow names it: its other texts in their order; for JPEG and WebP nothing.
struct PictureItems {
  std::vector<std::pair<std::string, std::string>> texts;
  std::optional<double> gamma;
  std::optional<std::pair<double, double>> dpi;
};

}  // namespace lowrank::image
