#include "image/box_blur.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lowrank::image {
namespace {

constexpr int kPasses = 3;

// The radius of boxes that together have the Gaussian's variance. Source: Gwosdek et al. 2011, "Theoretical
// foundations of Gaussian convolution by extended box filtering", eq. 7, 11 and 14; float32 as Pillow
// computes it.
float box_radius(float sigma) {
  const float variance = sigma * sigma / kPasses;
  const auto length = static_cast<float>(std::sqrt(12.0 * static_cast<double>(variance) + 1.0));
  const auto whole = static_cast<float>(std::floor((static_cast<double>(length) - 1.0) / 2.0));
  float fraction = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  fraction /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + fraction;
}

// A box of 2·radius + 1 pixels of weight `inner` and one pixel of weight `outer` at each end, in 24-bit fixed
// point.
struct Box {
  int radius;
  std::uint32_t inner, outer;

  explicit Box(float size) : radius(static_cast<int>(size)) {
    inner = static_cast<std::uint32_t>(static_cast<float>(1 << 24) / (size * 2 + 1));
    outer = ((1U << 24) - static_cast<std::uint32_t>(radius * 2 + 1) * inner) / 2;
  }
};

// `count` bytes, `step` apart, blurred in place; beyond the ends the outermost bytes go on.
void blur_line(std::uint8_t* line, int count, std::size_t step, const Box& box,
               std::vector<std::uint8_t>& copy) {
  for (int i = 0; i < count; ++i)
    copy[static_cast<std::size_t>(i)] = line[static_cast<std::size_t>(i) * step];
  const auto at = [&](int i) -> std::uint32_t {
    return copy[static_cast<std::size_t>(std::clamp(i, 0, count - 1))];
  };
  std::uint32_t sum = 0;
  // The window before the first pixel; all of it that lies outside repeats an end, so far ends are
  // multiplied.
  const int left = std::min(box.radius, count - 1);
  sum = at(0) * static_cast<std::uint32_t>(box.radius + 1);
  for (int i = 0; i < left; ++i) sum += at(i);
  sum += at(count - 1) * static_cast<std::uint32_t>(box.radius - left);
  for (int i = 0; i < count; ++i) {
    sum += at(i + box.radius) - at(i - box.radius - 1);
    const std::uint32_t bulk =
        sum * box.inner + (at(i - box.radius - 1) + at(i + box.radius + 1)) * box.outer;
    line[static_cast<std::size_t>(i) * step] = static_cast<std::uint8_t>((bulk + (1U << 23)) >> 24);
  }
}

}  // namespace

Raster pillow_gaussian_blur(Raster raster, float radius) {
  const Box box(box_radius(radius));
  const auto channels = static_cast<std::size_t>(raster.channels), stride = raster.at(0, 1);
  std::vector<std::uint8_t> copy(static_cast<std::size_t>(std::max(raster.width, raster.height)));
  for (std::size_t c = 0; c < channels; ++c) {
    for (int y = 0; y < raster.height; ++y)
      for (int pass = 0; pass < kPasses; ++pass)
        blur_line(&raster.bytes[raster.at(0, y) + c], raster.width, channels, box, copy);
    for (int x = 0; x < raster.width; ++x)
      for (int pass = 0; pass < kPasses; ++pass)
        blur_line(&raster.bytes[raster.at(x, 0) + c], raster.height, stride, box, copy);
  }
  return raster;
}

}  // namespace lowrank::image
