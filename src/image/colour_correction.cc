#include "image/colour_correction.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace lowrank::image {
namespace {

// Lab in eight bits a channel: L·255/100, a + 128, b + 128.
using Levels = std::array<std::uint8_t, 3>;
using Rgb = std::array<double, 3>;

constexpr double kXyz[3][3] = {
    {0.412453, 0.357580, 0.180423}, {0.212671, 0.715160, 0.072169}, {0.019334, 0.119193, 0.950227}};
constexpr double kRgb[3][3] = {
    {3.240479, -1.53715, -0.498535}, {-0.969256, 1.875991, 0.041556}, {0.055648, -0.204043, 1.057311}};
constexpr double kWhite[3] = {0.950456, 1, 1.088754};  // D65

double to_linear(double x) {
  return x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4);
}
double from_linear(double x) {
  return x <= 0.0031308 ? x * 12.92 : 1.055 * std::pow(x, 1 / 2.4) - 0.055;
}

// OpenCV's 8-bit conversion works in whole numbers: linear light in 1/8 levels, cube roots in 2^-15. The bins of the
// histograms depend on its rounding.
class LabTables {
 public:
  LabTables() {
    for (int i = 0; i < 256; ++i)
      linear_[static_cast<std::size_t>(i)] = whole(255 * 8 * to_linear(i / 255.0));
    for (std::size_t i = 0; i < root_.size(); ++i) {
      const double x = static_cast<double>(i) / (255 * 8);
      root_[i] = whole((1 << 15) * (x < 216.0 / 24389 ? x * 841 / 108 + 16.0 / 116 : std::cbrt(x)));
    }
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) xyz_[i][j] = whole((1 << 12) * kXyz[i][j] / kWhite[i]);
  }

  Levels lab(const std::uint8_t* rgb) const {
    std::array<int, 3> f{};
    for (std::size_t i = 0; i < 3; ++i) {
      int sum = 1 << 11;
      for (std::size_t j = 0; j < 3; ++j) sum += linear_[rgb[j]] * xyz_[i][j];
      f[i] = root_[static_cast<std::size_t>(sum >> 12)];
    }
    constexpr int kScaleL = (116 * 255 + 50) / 100, kHalf = 1 << 14, kMiddle = 128 << 15;
    constexpr int kShiftL = -((16 * 255 * (1 << 15) + 50) / 100);
    const auto level = [](int value) { return static_cast<std::uint8_t>(std::clamp(value >> 15, 0, 255)); };
    return {level(kScaleL * f[1] + kShiftL + kHalf), level(500 * (f[0] - f[1]) + kMiddle + kHalf),
            level(200 * (f[1] - f[2]) + kMiddle + kHalf)};
  }

 private:
  static int whole(double x) { return static_cast<int>(std::lround(x)); }
  std::array<int, 256> linear_{};
  std::array<int, 256 * 3 / 2 * 8> root_{};
  int xyz_[3][3] = {};
};

// In levels, whole numbers.
Rgb rgb_of(const Levels& lab) {
  const double l = lab[0] * 100 / 255.0, fy = (l + 16) / 116;
  const double f[3] = {fy + (lab[1] - 128) / 500.0, fy, fy - (lab[2] - 128) / 200.0};
  double xyz[3];
  for (int i = 0; i < 3; ++i)
    xyz[i] = kWhite[i] * (f[i] > 6.0 / 29 ? f[i] * f[i] * f[i] : (f[i] - 16.0 / 116) / 7.787);
  if (l <= 8) xyz[1] = l / 903.3;
  Rgb rgb{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double linear = kRgb[i][0] * xyz[0] + kRgb[i][1] * xyz[1] + kRgb[i][2] * xyz[2];
    rgb[i] = std::round(255 * from_linear(std::clamp(linear, 0.0, 1.0)));
  }
  return rgb;
}

std::vector<Levels> lab_of(const Picture& picture) {
  static const LabTables tables;
  std::vector<Levels> lab(picture.rgb.size() / 3);
  for (std::size_t i = 0; i < lab.size(); ++i) lab[i] = tables.lab(&picture.rgb[3 * i]);
  return lab;
}

using Shares = std::array<double, 256>;  // of pixels at or below a level

Shares shares(const std::vector<Levels>& lab, std::size_t channel) {
  std::array<std::size_t, 256> counts{};
  for (const Levels& pixel : lab) ++counts[pixel[channel]];
  Shares result{};
  std::size_t sum = 0;
  for (std::size_t level = 0; level < 256; ++level) {
    sum += counts[level];
    result[level] = static_cast<double>(sum) / static_cast<double>(lab.size());
  }
  return result;
}

// For each level the one at the same share of the reference, between two that occur by straight line, cut off.
std::array<std::uint8_t, 256> matched(const Shares& made, const Shares& reference) {
  std::vector<double> known_shares, known_levels;
  double before = 0;
  for (std::size_t level = 0; level < 256; ++level) {
    if (reference[level] > before) {
      known_shares.push_back(reference[level]);
      known_levels.push_back(static_cast<double>(level));
    }
    before = reference[level];
  }
  std::array<std::uint8_t, 256> table{};
  for (std::size_t level = 0; level < 256; ++level) {
    const auto above = std::ranges::upper_bound(known_shares, made[level]);
    const auto i = static_cast<std::size_t>(above - known_shares.begin());
    double value = i == 0 ? known_levels.front() : known_levels[i - 1];
    if (i > 0 && i < known_shares.size()) {
      const double slope = (known_levels[i] - known_levels[i - 1]) / (known_shares[i] - known_shares[i - 1]);
      value = slope * (made[level] - known_shares[i - 1]) + known_levels[i - 1];
    }
    table[level] = static_cast<std::uint8_t>(value);
  }
  return table;
}

double luminosity(const Rgb& c) {
  return c[0] * 0.299 + c[1] * 0.587 + c[2] * 0.114;
}

// `colour` (0 … 1) lightened to the luminosity, brought back into range without changing it.
Rgb with_luminosity(Rgb colour, double wanted) {
  const double change = wanted - luminosity(colour);
  for (double& c : colour) c += change;
  const double light = luminosity(colour);
  const auto [low, high] = std::ranges::minmax(colour);
  const Rgb before = colour;
  if (low < 0)
    for (std::size_t i = 0; i < 3; ++i) colour[i] = light + (before[i] - light) * light / (light - low);
  const Rgb between = colour;
  if (high > 1)
    for (std::size_t i = 0; i < 3; ++i)
      colour[i] = light + (between[i] - light) * (1 - light) / (high - light);
  return colour;
}

}  // namespace

Picture colour_corrected(const Picture& made, const Picture& reference) {
  LOWRANK_CHECK(!made.rgb.empty() && !reference.rgb.empty());
  std::vector<Levels> lab = lab_of(made);
  {
    const std::vector<Levels> like = lab_of(reference);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const auto table = matched(shares(lab, channel), shares(like, channel));
      for (Levels& pixel : lab) pixel[channel] = table[pixel[channel]];
    }
  }
  Picture result = made;
  for (std::size_t i = 0; i < lab.size(); ++i) {
    const std::uint8_t* own = &made.rgb[3 * i];
    Rgb colour = rgb_of(lab[i]);
    for (double& c : colour) c /= 255;
    colour = with_luminosity(colour, luminosity({own[0] / 255.0, own[1] / 255.0, own[2] / 255.0}));
    for (std::size_t c = 0; c < 3; ++c)
      result.rgb[3 * i + c] = static_cast<std::uint8_t>(std::clamp(colour[c], 0.0, 1.0) * 255);
  }
  return result;
}

}  // namespace lowrank::image
