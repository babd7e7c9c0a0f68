#include "image/masking.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "image/box_blur.h"
#include "image/raster.h"
#include "image/resample.h"

namespace lowrank::image {
namespace {

// Weights of a Gaussian in 8-bit fixed point that sum to exactly 256: rounding errors are carried towards the
// centre. Source: OpenCV's getGaussianKernelBitExact and getGaussianKernelFixedPoint_ED.
std::vector<int> gaussian_kernel(int sigma) {
  const int size = 2 * static_cast<int>(2.5 * sigma + 0.5) + 1, half = size / 2;
  std::vector<double> values;
  double sum = 0;
  for (int i = 0, x = 1 - size; i < half; ++i, x += 2) {
    values.push_back(std::exp(x * x * (-0.125 / (static_cast<double>(sigma) * sigma))));
    sum += values.back();
  }
  const double factor = 1 / (2 * sum + 1);
  std::vector<int> kernel(static_cast<std::size_t>(size));
  double carried = 0;
  int total = 0;
  for (int i = 0; i < half; ++i) {
    const double wanted = values[static_cast<std::size_t>(i)] * factor * 256 + carried;
    const auto weight = static_cast<int>(std::lrint(wanted));
    carried = wanted - weight;
    kernel[static_cast<std::size_t>(i)] = kernel[static_cast<std::size_t>(size - 1 - i)] = weight;
    total += 2 * weight;
  }
  kernel[static_cast<std::size_t>(half)] = 256 - total;
  return kernel;
}

// Place i of a line of `count` pixels that is reflected at its ends, which are not repeated.
int reflected(int i, int count) {
  if (count == 1) return 0;
  const int period = 2 * (count - 1);
  i = std::abs(i) % period;
  return i < count ? i : period - i;
}

template <typename Source>
std::uint8_t weighted(const std::vector<int>& kernel, int centre, int count, const Source& source) {
  const int half = static_cast<int>(kernel.size()) / 2;
  int sum = 128;
  for (int k = 0; k < static_cast<int>(kernel.size()); ++k)
    sum += kernel[static_cast<std::size_t>(k)] * source(reflected(centre + k - half, count));
  return static_cast<std::uint8_t>(sum >> 8);
}

// The picture with the mask's dark part showing, four channels, colours multiplied by alpha.
Raster unmasked(const Picture& picture, const Mask& mask) {
  LOWRANK_CHECK(picture.width == mask.width && picture.height == mask.height);
  Raster shown = Raster::blank(picture.width, picture.height, 4);
  for (std::size_t i = 0; i < mask.grey.size(); ++i) {
    const std::uint32_t visible = 255U - mask.grey[i];
    for (std::size_t c = 0; c < 3; ++c) shown.bytes[4 * i + c] = mul_div_255(picture.rgb[3 * i + c], visible);
    shown.bytes[4 * i + 3] = static_cast<std::uint8_t>(visible);
  }
  return shown;
}

// Colours divided by alpha again. Source: Pillow's conversion RGBa → RGBA.
void divide_by_alpha(Raster& raster) {
  for (std::size_t i = 0; i < raster.bytes.size(); i += 4) {
    const unsigned alpha = raster.bytes[i + 3];
    if (alpha == 0 || alpha == 255) continue;
    for (std::size_t c = 0; c < 3; ++c)
      raster.bytes[i + c] = static_cast<std::uint8_t>(std::min(255U, 255U * raster.bytes[i + c] / alpha));
  }
}

// `above` over `below`, both with plain colours and alpha. Source: Pillow's AlphaComposite.c; seven bits more
// than the result needs.
void lay_over(Raster& below, const Raster& above) {
  constexpr unsigned kBits = 7;
  const auto divide = [](std::uint32_t a) { return (a + (a >> 8)) >> 8; };
  for (std::size_t i = 0; i < below.bytes.size(); i += 4) {
    const std::uint32_t alpha = above.bytes[i + 3], under = below.bytes[i + 3];
    if (alpha == 0) continue;
    const std::uint32_t out_alpha = alpha * 255 + under * (255 - alpha);
    const std::uint32_t weight = alpha * 255 * 255 * (1U << kBits) / out_alpha,
                        rest = 255 * (1U << kBits) - weight;
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t mixed = above.bytes[i + c] * weight + below.bytes[i + c] * rest;
      below.bytes[i + c] = static_cast<std::uint8_t>(divide(mixed + (0x80U << kBits)) >> kBits);
    }
    below.bytes[i + 3] = static_cast<std::uint8_t>(divide(out_alpha + 0x80));
  }
}

Picture without_alpha(const Raster& raster) {
  Picture picture = Picture::blank(raster.width, raster.height);
  for (std::size_t i = 0; i < raster.bytes.size() / 4; ++i)
    std::copy_n(&raster.bytes[4 * i], 3, &picture.rgb[3 * i]);
  return picture;
}

}  // namespace

Mask rounded(const Mask& mask) {
  Mask result = mask;
  if (mask.from_alpha)
    for (std::uint8_t& value : result.grey) value = value > 128 ? 255 : 0;
  return result;
}

Mask inverted(const Mask& mask) {
  Mask result = mask;
  for (std::uint8_t& value : result.grey) value = static_cast<std::uint8_t>(255 - value);
  return result;
}

Mask crop(const Mask& mask, const Rect& rect) {
  LOWRANK_CHECK(rect.left >= 0 && rect.top >= 0 && rect.width() > 0 && rect.height() > 0 &&
                rect.right <= mask.width && rect.bottom <= mask.height);
  Mask result{.width = rect.width(), .height = rect.height(), .grey = {}};
  for (int y = rect.top; y < rect.bottom; ++y)
    for (int x = rect.left; x < rect.right; ++x) result.grey.push_back(mask.at(x, y));
  return result;
}

Mask blurred(const Mask& mask, int sigma_x, int sigma_y) {
  Mask result = mask;
  if (sigma_x > 0) {
    const auto kernel = gaussian_kernel(sigma_x);
    for (int y = 0; y < mask.height; ++y)
      for (int x = 0; x < mask.width; ++x)
        result.at(x, y) = weighted(kernel, x, mask.width, [&](int i) { return mask.at(i, y); });
  }
  if (sigma_y > 0) {
    const auto kernel = gaussian_kernel(sigma_y);
    const Mask source = result;
    for (int y = 0; y < mask.height; ++y)
      for (int x = 0; x < mask.width; ++x)
        result.at(x, y) = weighted(kernel, y, mask.height, [&](int i) { return source.at(x, i); });
  }
  return result;
}

std::optional<Rect> covered(const Mask& mask, int padding) {
  Rect box{mask.width, mask.height, 0, 0};
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x) {
      if (mask.at(x, y) == 0) continue;
      box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x + 1),
             std::max(box.bottom, y + 1)};
    }
  }
  if (box.right == 0) return std::nullopt;
  return Rect{std::max(box.left - padding, 0), std::max(box.top - padding, 0),
              std::min(box.right + padding, mask.width), std::min(box.bottom + padding, mask.height)};
}

Rect expanded(Rect rect, int width, int height, int picture_width, int picture_height) {
  // One axis grows to `wanted` around its middle, then is pushed back into the picture.
  const auto grow = [](int& from, int& to, double wanted, int limit) {
    const int more = static_cast<int>(wanted - (to - from));
    from -= more / 2;
    to += more - more / 2;
    if (to >= limit) {
      from -= to - limit;
      to = limit;
    }
    if (from < 0) {
      to -= from;
      from = 0;
    }
    to = std::min(to, limit);
  };
  const double own = static_cast<double>(rect.width()) / rect.height(),
               ratio = static_cast<double>(width) / height;
  if (own > ratio) {
    grow(rect.top, rect.bottom, rect.width() / ratio, picture_height);
  } else {
    grow(rect.left, rect.right, rect.height() * ratio, picture_width);
  }
  return rect;
}

Picture filled(const Picture& picture, const Mask& mask) {
  struct Layer {
    float radius;
    int times;
  };
  constexpr Layer kLayers[] = {{256, 1}, {64, 1}, {16, 2}, {4, 4}, {2, 2}, {0, 1}};
  const Raster shown = unmasked(picture, mask);
  Raster result = Raster::blank(picture.width, picture.height, 4);
  for (const Layer& layer : kLayers) {
    Raster flowing = layer.radius > 0 ? pillow_gaussian_blur(shown, layer.radius) : shown;
    divide_by_alpha(flowing);
    for (int i = 0; i < layer.times; ++i) lay_over(result, flowing);
  }
  return without_alpha(result);
}

Picture composited(const Picture& original, const Mask& mask, const Picture& made,
                   const std::optional<Rect>& place) {
  const Rect whole{0, 0, original.width, original.height}, at = place.value_or(whole);
  const Picture fitted = place ? fit(made, at.width(), at.height(), Fit::kCover) : made;
  LOWRANK_CHECK(fitted.width == at.width() && fitted.height == at.height());
  Raster below = Raster::blank(original.width, original.height, 4);
  for (int y = at.top; y < at.bottom; ++y) {
    for (int x = at.left; x < at.right; ++x) {
      std::copy_n(fitted.pixel(x - at.left, y - at.top), 3, &below.bytes[below.at(x, y)]);
      below.bytes[below.at(x, y) + 3] = 255;
    }
  }
  Raster above = unmasked(original, mask);
  divide_by_alpha(above);
  lay_over(below, above);
  return without_alpha(below);
}

}  // namespace lowrank::image
