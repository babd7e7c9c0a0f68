#include "training/data/buckets.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/error.h"

namespace lowrank::training {
namespace {

double aspect(PixelSize size) {
  return static_cast<double>(size.width) / static_cast<double>(size.height);
}

std::int64_t rounded(double value) {
  return static_cast<std::int64_t>(value + 0.5);
}

std::int64_t round_to_step(double value, std::int64_t step) {
  const std::int64_t whole = rounded(value);
  return whole - whole % step;
}

}  // namespace

BucketLimits bucket_limits(const BucketOptions& options) {
  const auto [width, height] = options.resolution;
  if (width < 8 || height < 8 || width % 8 != 0 || height % 8 != 0 || width > 16384 || height > 16384)
    throw Error(kBadInput, "--resolution {}x{}: both sides must be multiples of 8 between 8 and 16384.",
                width, height);
  const std::int64_t small = std::min(width, height), large = std::max(width, height);
  BucketLimits limits{256, std::max<std::int64_t>(1024, large), 64};
  if (small < 512) {
    const auto step = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(small / 8)));
    limits = {std::max<std::int64_t>(8, small / 2), 2 * large, std::max<std::int64_t>(8, step)};
  }
  limits.min_side = options.min_side.value_or(limits.min_side);
  limits.max_side = options.max_side.value_or(limits.max_side);
  limits.step = options.step.value_or(limits.step);
  if (limits.step < 8 || limits.step % 8 != 0)
    throw Error(kBadInput, "--bucket-reso-steps {}: must be a multiple of 8.", limits.step);
  if (limits.min_side < 8 || limits.min_side > small)
    throw Error(kBadInput,
                "--min-bucket-reso {}: must be between 8 and the smaller side of the resolution, {}.",
                limits.min_side, small);
  if (limits.max_side < large || limits.max_side > 65536)
    throw Error(kBadInput,
                "--max-bucket-reso {}: must be between the larger side of the resolution, {}, and 65536.",
                limits.max_side, large);
  limits.min_side = std::max(limits.step, limits.min_side - limits.min_side % limits.step);
  limits.max_side = (limits.max_side + limits.step - 1) / limits.step * limits.step;
  return limits;
}

std::vector<PixelSize> bucket_sizes(PixelSize resolution, const BucketLimits& limits) {
  const std::int64_t area = resolution.width * resolution.height;
  const auto in_steps = [&](std::int64_t side) { return side / limits.step * limits.step; };
  std::set<PixelSize> sizes;
  const std::int64_t square = in_steps(static_cast<std::int64_t>(std::sqrt(static_cast<double>(area))));
  if (square > 0) sizes.insert({square, square});
  for (std::int64_t width = limits.min_side; width <= limits.max_side; width += limits.step) {
    const std::int64_t height = std::min(limits.max_side, in_steps(area / width));
    if (height < limits.min_side) continue;
    sizes.insert({width, height});
    sizes.insert({height, width});
  }
  return {sizes.begin(), sizes.end()};
}

BucketChooser::BucketChooser(const BucketOptions& options)
    : options_(options), limits_(bucket_limits(options)) {
  sizes_ =
      options.enable ? bucket_sizes(options.resolution, limits_) : std::vector<PixelSize>{options.resolution};
  if (sizes_.empty())
    throw Error(
        kBadInput,
        "no bucket with sides in steps of {} pixels fits the resolution {}x{}; lower --bucket-reso-steps.",
        limits_.step, options.resolution.width, options.resolution.height);
}

BucketChoice BucketChooser::choose(PixelSize picture) const {
  LOWRANK_CHECK(picture.width > 0 && picture.height > 0);
  if (options_.enable && options_.no_upscale) return choose_without_upscale(picture);
  PixelSize bucket = picture;
  if (!std::binary_search(sizes_.begin(), sizes_.end(), picture)) {
    bucket = *std::min_element(sizes_.begin(), sizes_.end(), [&](PixelSize a, PixelSize b) {
      return std::abs(aspect(a) - aspect(picture)) < std::abs(aspect(b) - aspect(picture));
    });
  }
  // The side that is relatively shorter decides, so that the bucket is covered.
  const bool is_wider = aspect(picture) > aspect(bucket);
  const double scale = is_wider ? static_cast<double>(bucket.height) / static_cast<double>(picture.height)
                                : static_cast<double>(bucket.width) / static_cast<double>(picture.width);
  const PixelSize resized{rounded(static_cast<double>(picture.width) * scale),
                          rounded(static_cast<double>(picture.height) * scale)};
  return {bucket, resized, aspect(bucket) - aspect(picture)};
}

BucketChoice BucketChooser::choose_without_upscale(PixelSize picture) const {
  const double ratio = aspect(picture);
  const auto area = static_cast<double>(options_.resolution.width * options_.resolution.height);
  const std::int64_t step = limits_.step;
  PixelSize resized = picture;
  if (static_cast<double>(picture.width * picture.height) > area) {
    // Too large: one side becomes a multiple of the step, whichever distorts the ratio less.
    const double width = std::sqrt(area * ratio), height = area / width;
    const std::int64_t by_width = std::max(step, round_to_step(width, step));
    const std::int64_t by_height = std::max(step, round_to_step(height, step));
    const std::int64_t height_of_width =
        std::max(step, round_to_step(static_cast<double>(by_width) / ratio, step));
    const std::int64_t width_of_height =
        std::max(step, round_to_step(static_cast<double>(by_height) * ratio, step));
    const double width_error = std::abs(aspect({by_width, height_of_width}) - ratio);
    const double height_error = std::abs(aspect({width_of_height, by_height}) - ratio);
    resized = width_error < height_error
                  ? PixelSize{by_width, rounded(static_cast<double>(by_width) / ratio)}
                  : PixelSize{rounded(static_cast<double>(by_height) * ratio), by_height};
  }
  const PixelSize bucket{resized.width - resized.width % step, resized.height - resized.height % step};
  if (bucket.width == 0 || bucket.height == 0)
    throw Error(kBadInput,
                "the picture is {}x{}, smaller than one bucket step of {}; remove --bucket-no-upscale.",
                picture.width, picture.height, step);
  return {bucket, resized, aspect(bucket) - ratio};
}

}  // namespace lowrank::training
