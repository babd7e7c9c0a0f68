#include "training/data/augmentation.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "training/data/random_draws.h"

namespace lowrank::training {
namespace {

constexpr double kColourShare = 0.33, kMostDegrees = 16, kGammaSpan = 0.05;

}  // namespace

Cut draw_cut(const BucketChoice& place, const at::Generator& generator) {
  const std::int64_t across = place.resized.width - place.bucket.width;
  const std::int64_t down = place.resized.height - place.bucket.height;
  Cut cut;
  if (across > 0) cut.left = draw_below(across + 1, generator);
  if (down > 0) cut.top = draw_below(down + 1, generator);
  return cut;
}

// In HSV a colour is v − v·s·k(n), k(n) = clamp(min(a, 4 − a), 0, 1) with a = (n + hue / 60°) mod 6 and n = 5, 3, 1 for
// red, green, blue.
at::Tensor hue_turned(const at::Tensor& picture, double degrees) {
  LOWRANK_CHECK(picture.dim() == 3 && picture.size(0) == 3);
  const at::Tensor rgb = picture.to(at::kFloat);
  const at::Tensor red = rgb[0], green = rgb[1], blue = rgb[2];
  const at::Tensor value = rgb.amax(0), chroma = value - rgb.amin(0);
  const at::Tensor span = chroma.clamp_min(1e-6);
  at::Tensor sextant =
      at::where(value == red, at::remainder((green - blue) / span, 6.0),
                at::where(value == green, (blue - red) / span + 2, (red - green) / span + 4));
  sextant = sextant + degrees / 60.0;
  std::vector<at::Tensor> channels;
  for (const double n : {5.0, 3.0, 1.0}) {
    const at::Tensor a = at::remainder(sextant + n, 6.0);
    channels.push_back(value - chroma * at::minimum(a, 4 - a).clamp(0, 1));
  }
  return at::stack(channels).round().clamp(0, 255).to(at::kByte);
}

at::Tensor draw_colours(const at::Tensor& picture, const at::Generator& generator) {
  if (draw_unit(generator) > kColourShare) return picture;
  const bool turns_hue = draw_unit(generator) > 0.5;
  const double amount = 2 * draw_unit(generator) - 1;
  if (turns_hue) return hue_turned(picture, amount * kMostDegrees);
  return picture.to(at::kFloat).pow(1 + amount * kGammaSpan).clamp(0, 255).to(at::kByte);
}

}  // namespace lowrank::training
