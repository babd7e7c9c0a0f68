#include "pipeline/pictures/extras.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace lowrank::pipeline {
namespace {

constexpr int kToSize = 1;
constexpr double kMaxSide = 16384;

image::Picture upscale(const request::ExtrasRequest& r, const std::string& name,
                       const image::Picture& picture, Upscalers& upscalers, const std::stop_token& stop) {
  const double scale = extras_scale(r, picture);
  if (std::max(picture.width, picture.height) * scale > kMaxSide)
    throw Error(kBadInput, "a picture of {}x{} times {:.4g} would have more than {} pixels per side.",
                picture.width, picture.height, scale, kMaxSide);
  image::Picture large = upscalers.upscale(name, picture, scale,
                                           {.size = r.esrgan_tile, .overlap = r.esrgan_tile_overlap}, stop);
  if (r.resize_mode != kToSize || !r.upscaling_crop) return large;
  image::Picture cropped = image::Picture::blank(r.upscaling_width, r.upscaling_height, 0);
  image::paste(cropped, large, r.upscaling_width / 2 - large.width / 2,
               r.upscaling_height / 2 - large.height / 2);
  return cropped;
}

// a + share·(b − a), cut off to whole levels. Source: Pillow's Image.blend.
image::Picture blend(const image::Picture& a, const image::Picture& b, double share) {
  image::Picture mixed = a;
  for (std::size_t i = 0; i < mixed.rgb.size(); ++i) {
    const float value =
        static_cast<float>(a.rgb[i]) +
        static_cast<float>(share) * (static_cast<float>(b.rgb[i]) - static_cast<float>(a.rgb[i]));
    mixed.rgb[i] = static_cast<std::uint8_t>(value);
  }
  return mixed;
}

}  // namespace

double extras_scale(const request::ExtrasRequest& r, const image::Picture& picture) {
  if (r.resize_mode != kToSize) return r.upscaling_resize.value;
  return std::max(static_cast<double>(r.upscaling_width) / picture.width,
                  static_cast<double>(r.upscaling_height) / picture.height);
}

std::string extras_metadata(const std::optional<std::string>& parameters, const std::string& info) {
  if (!parameters || parameters->empty()) return info;
  return info.empty() ? *parameters : *parameters + ", " + info;
}

ExtrasResult run_extras(const request::ExtrasRequest& r, const image::Picture& picture, Upscalers& upscalers,
                        const std::stop_token& stop) {
  request::check_request(r);
  upscalers.check(r.upscaler_1);
  upscalers.check(r.upscaler_2);
  if (r.upscaler_1 == "None") return {picture, ""};
  ExtrasResult result{.picture = upscale(r, r.upscaler_1, picture, upscalers, stop), .info = {}};
  result.info = r.resize_mode == kToSize
                    ? fmt::format("Postprocess upscale to: {}x{}", r.upscaling_width, r.upscaling_height)
                    : fmt::format("Postprocess upscale by: {}", r.upscaling_resize.text());
  if (r.resize_mode == kToSize && r.upscaling_crop)
    result.info += fmt::format(", Postprocess crop to: {}x{}", r.upscaling_width, r.upscaling_height);
  result.info += ", Postprocess upscaler: " + r.upscaler_1;
  if (r.upscaler_2 != "None" && r.upscaler_2_visibility.value > 0) {
    const image::Picture second = upscale(r, r.upscaler_2, picture, upscalers, stop);
    result.picture = blend(result.picture, second, r.upscaler_2_visibility.value);
    result.info += ", Postprocess upscaler 2: " + r.upscaler_2;
  }
  return result;
}

}  // namespace lowrank::pipeline
