#include "image/picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/error.h"

namespace lowrank::image {
namespace {

double lanczos3(double x) {
  x = std::abs(x);
  if (x < 1e-9) return 1;
  if (x >= 3) return 0;
  const double p = std::numbers::pi * x;
  return 3 * std::sin(p) * std::sin(p / 3) / (p * p);
}

// The source places that make up one target place, with weights that sum to 1: those of the kernel that lie inside.
struct Taps {
  int first = 0;
  std::vector<float> weights;
};

std::vector<Taps> taps(int from, int to) {
  const double scale = static_cast<double>(from) / to, stretch = std::max(1.0, scale);
  std::vector<Taps> all(static_cast<std::size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale - 0.5, reach = 3 * stretch;
    Taps& tap = all[static_cast<std::size_t>(i)];
    tap.first = std::max(0, static_cast<int>(std::ceil(centre - reach)));
    const int last = std::min(from - 1, static_cast<int>(std::floor(centre + reach)));
    double sum = 0;
    for (int k = tap.first; k <= last; ++k) sum += lanczos3((k - centre) / stretch);
    for (int k = tap.first; k <= last; ++k)
      tap.weights.push_back(static_cast<float>(lanczos3((k - centre) / stretch) / sum));
  }
  return all;
}

std::uint8_t to_byte(float value) { return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L)); }

Picture resize_columns(const Picture& picture, int width) {
  Picture result = Picture::blank(width, picture.height);
  const auto columns = taps(picture.width, width);
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Taps& tap = columns[static_cast<std::size_t>(x)];
      float sum[3] = {};
      for (std::size_t k = 0; k < tap.weights.size(); ++k) {
        const std::uint8_t* in = picture.pixel(tap.first + static_cast<int>(k), y);
        for (int c = 0; c < 3; ++c) sum[c] += tap.weights[k] * static_cast<float>(in[c]);
      }
      std::transform(sum, sum + 3, result.pixel(x, y), to_byte);
    }
  }
  return result;
}

Picture resize_rows(const Picture& picture, int height) {
  Picture result = Picture::blank(picture.width, height);
  const auto rows = taps(picture.height, height);
  std::vector<float> line(static_cast<std::size_t>(picture.width) * 3);
  for (int y = 0; y < height; ++y) {
    const Taps& tap = rows[static_cast<std::size_t>(y)];
    std::fill(line.begin(), line.end(), 0.0F);
    for (std::size_t k = 0; k < tap.weights.size(); ++k) {
      const std::uint8_t* in = picture.pixel(0, tap.first + static_cast<int>(k));
      for (std::size_t i = 0; i < line.size(); ++i) line[i] += tap.weights[k] * static_cast<float>(in[i]);
    }
    std::transform(line.begin(), line.end(), result.pixel(0, y), to_byte);
  }
  return result;
}

}  // namespace

Picture Picture::blank(int width, int height, std::uint8_t value) {
  LOWRANK_CHECK(width > 0 && height > 0);
  return {width, height,
          std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, value)};
}

Picture resize(const Picture& picture, int width, int height) {
  LOWRANK_CHECK(width > 0 && height > 0);
  if (width == picture.width && height == picture.height) return picture;
  // The cheaper direction first, as Pillow does.
  const double narrow = 1.0 * width / picture.width, low = 1.0 * height / picture.height;
  return narrow <= low ? resize_rows(resize_columns(picture, width), height)
                       : resize_columns(resize_rows(picture, height), width);
}

Picture crop(const Picture& picture, int x, int y, int width, int height) {
  LOWRANK_CHECK(x >= 0 && y >= 0 && width > 0 && height > 0 && x <= picture.width - width && y <= picture.height - height);
  Picture result = Picture::blank(width, height);
  for (int row = 0; row < height; ++row)
    std::memcpy(result.pixel(0, row), picture.pixel(x, y + row), static_cast<std::size_t>(width) * 3);
  return result;
}

void paste(Picture& sheet, const Picture& picture, int x, int y) {
  for (int row = 0; row < picture.height; ++row) {
    const int target = y + row;
    if (target < 0 || target >= sheet.height) continue;
    const int from = std::max(0, -x), to = std::min(picture.width, sheet.width - x);
    if (from < to) std::memcpy(sheet.pixel(x + from, target), picture.pixel(from, row), static_cast<std::size_t>(to - from) * 3);
  }
}

}  // namespace lowrank::image
