#include "image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>
#include <vector>

#include "base/error.h"
#include "image/raster.h"

namespace lowrank::image {
namespace {

// A part of the source along one axis; it may be empty: then the target continues what lies at that place.
struct Span {
  float from = 0, to = 0;
};

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

// The source places that make up one target place, with weights in 22-bit fixed point.
struct Taps {
  int first = 0;
  std::vector<int> weights;
};
constexpr int kBits = 32 - 8 - 2;

// Widened when shrinking, so that nothing aliases; weights outside the source are left out and the rest
// scaled to sum to 1. Source: Pillow's Resample.c, precompute_coeffs and normalize_coeffs_8bpc.
std::vector<Taps> taps(int from, Span part, int to, Filter filter) {
  const double scale = static_cast<double>(part.to - part.from) / to, stretch = std::max(1.0, scale);
  const double support = (filter == Filter::kBicubic ? 2 : 3) * stretch;
  std::vector<Taps> all(static_cast<std::size_t>(to));
  std::vector<double> weights;
  for (int i = 0; i < to; ++i) {
    const double centre = part.from + (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int end = std::min(from, static_cast<int>(centre + support + 0.5));
    weights.clear();
    double sum = 0;
    for (int k = 0; k < end - first; ++k) {
      const double x = (k + first - centre + 0.5) * (1 / stretch);
      weights.push_back(filter == Filter::kBicubic ? bicubic(x) : lanczos(x));
      sum += weights.back();
    }
    Taps& tap = all[static_cast<std::size_t>(i)];
    tap.first = first;
    for (double weight : weights) {
      if (sum != 0) weight /= sum;
      tap.weights.push_back(static_cast<int>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits)));
    }
  }
  return all;
}

std::uint8_t to_byte(int value) {
  return static_cast<std::uint8_t>(std::clamp(value >> kBits, 0, 255));
}

Raster resample_columns(const Raster& in, Span part, int width, Filter filter) {
  Raster out = Raster::blank(width, in.height, in.channels);
  const auto columns = taps(in.width, part, width, filter);
  for (int y = 0; y < in.height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Taps& tap = columns[static_cast<std::size_t>(x)];
      for (int c = 0; c < in.channels; ++c) {
        int sum = 1 << (kBits - 1);
        const std::uint8_t* from = &in.bytes[in.at(tap.first, y)] + c;
        for (const int weight : tap.weights) {
          sum += *from * weight;
          from += in.channels;
        }
        out.bytes[out.at(x, y) + static_cast<std::size_t>(c)] = to_byte(sum);
      }
    }
  }
  return out;
}

Raster resample_rows(const Raster& in, Span part, int height, Filter filter) {
  Raster out = Raster::blank(in.width, height, in.channels);
  const auto rows = taps(in.height, part, height, filter);
  const std::size_t stride = in.at(0, 1);
  std::vector<int> sums(stride);
  for (int y = 0; y < height; ++y) {
    const Taps& tap = rows[static_cast<std::size_t>(y)];
    std::ranges::fill(sums, 1 << (kBits - 1));
    for (std::size_t k = 0; k < tap.weights.size(); ++k) {
      const std::uint8_t* from = &in.bytes[in.at(0, tap.first + static_cast<int>(k))];
      for (std::size_t i = 0; i < stride; ++i) sums[i] += from[i] * tap.weights[k];
    }
    std::ranges::transform(sums, &out.bytes[out.at(0, y)], to_byte);
  }
  return out;
}

// The source place of each target place. The position is summed up, not multiplied, as Pillow's Geometry.c
// does.
std::vector<int> nearest_places(int from, int to) {
  const double step = static_cast<double>(from) / to;
  double position = step * 0.5;
  std::vector<int> places(static_cast<std::size_t>(to));
  for (int& place : places) {
    place = std::min(static_cast<int>(position), from - 1);
    position += step;
  }
  return places;
}

Raster resample_nearest(const Raster& in, int width, int height) {
  Raster out = Raster::blank(width, height, in.channels);
  const auto columns = nearest_places(in.width, width), rows = nearest_places(in.height, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      std::memcpy(&out.bytes[out.at(x, y)],
                  &in.bytes[in.at(columns[static_cast<std::size_t>(x)], rows[static_cast<std::size_t>(y)])],
                  static_cast<std::size_t>(in.channels));
  return out;
}

Raster resample(const Raster& in, int width, int height, Filter filter) {
  LOWRANK_CHECK(width > 0 && height > 0);
  if (width == in.width && height == in.height) return in;
  if (filter == Filter::kNearest) return resample_nearest(in, width, height);
  // Columns first, always: the 8-bit picture in between clips, so the order shows.
  const Raster wide =
      width == in.width ? in : resample_columns(in, {0, static_cast<float>(in.width)}, width, filter);
  return height == in.height ? wide : resample_rows(wide, {0, static_cast<float>(in.height)}, height, filter);
}

void paste(Raster& sheet, const Raster& piece, int x, int y) {
  for (int row = 0; row < piece.height; ++row) {
    const int target = y + row;
    if (target < 0 || target >= sheet.height) continue;
    const int from = std::max(0, -x), to = std::min(piece.width, sheet.width - x);
    if (from < to)
      std::memcpy(&sheet.bytes[sheet.at(x + from, target)], &piece.bytes[piece.at(from, row)],
                  static_cast<std::size_t>(to - from) * static_cast<std::size_t>(piece.channels));
  }
}

// Fills the free strips beside or above and below `inner`. A1111 stretches an empty box at the edge, of which
// the bicubic filter makes 9/8 of the outermost line less 1/8 of the one before.
void continue_edges(Raster& sheet, const Raster& inner, bool is_wider) {
  const auto end = [](int size) { return Span{static_cast<float>(size), static_cast<float>(size)}; };
  if (is_wider) {
    const int strip = sheet.height / 2 - inner.height / 2;
    if (strip <= 0) return;
    paste(sheet, resample_rows(inner, {0, 0}, strip, Filter::kBicubic), 0, 0);
    paste(sheet, resample_rows(inner, end(inner.height), strip, Filter::kBicubic), 0, strip + inner.height);
  } else {
    const int strip = sheet.width / 2 - inner.width / 2;
    if (strip <= 0) return;
    paste(sheet, resample_columns(inner, {0, 0}, strip, Filter::kBicubic), 0, 0);
    paste(sheet, resample_columns(inner, end(inner.width), strip, Filter::kBicubic), strip + inner.width, 0);
  }
}

using EnlargeRaster = std::function<Raster(const Raster&, int, int)>;

Raster fit(const Raster& in, int width, int height, Fit how, const EnlargeRaster& enlarge) {
  if (how == Fit::kStretch) return enlarge(in, width, height);
  const double ratio = static_cast<double>(width) / height, own = static_cast<double>(in.width) / in.height;
  const bool by_width = how == Fit::kCover ? ratio > own : ratio < own;
  const bool by_height = how == Fit::kCover ? ratio <= own : ratio >= own;
  const int inner_width = by_width ? width : in.width * height / in.height;
  const int inner_height = by_height ? height : in.height * width / in.width;
  const Raster inner = enlarge(in, std::max(1, inner_width), std::max(1, inner_height));
  Raster sheet = Raster::blank(width, height, in.channels);
  paste(sheet, inner, width / 2 - inner_width / 2, height / 2 - inner_height / 2);
  if (how == Fit::kContain && ratio != own) continue_edges(sheet, inner, ratio < own);
  return sheet;
}

}  // namespace

Picture resample(const Picture& picture, int width, int height, Filter filter) {
  return picture_of(resample(raster_of(picture), width, height, filter));
}

Mask resample(const Mask& mask, int width, int height, Filter filter) {
  return mask_of(resample(raster_of(mask), width, height, filter));
}

Picture resize(const Picture& picture, int width, int height) {
  return resample(picture, width, height, Filter::kLanczos);
}

Picture fit(const Picture& picture, int width, int height, Fit how, const Enlarge& enlarge) {
  const auto resizer = [&](const Raster& in, int w, int h) {
    if (!enlarge || std::max(1.0 * w / in.width, 1.0 * h / in.height) <= 1)
      return resample(in, w, h, Filter::kLanczos);
    return raster_of(enlarge(picture, w, h));
  };
  return picture_of(fit(raster_of(picture), width, height, how, resizer));
}

Mask fit(const Mask& mask, int width, int height, Fit how) {
  return mask_of(fit(raster_of(mask), width, height, how,
                     [](const Raster& in, int w, int h) { return resample(in, w, h, Filter::kLanczos); }));
}

}  // namespace lowrank::image
