#include "pipeline/generate/hires.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace lowrank::pipeline {
namespace {

using at::Tensor;
using Size = at::IntArrayRef;

// PyTorch's interpolate with align_corners false.
Tensor bilinear(const Tensor& z, Size size) {
  return at::upsample_bilinear2d(z, size, false);
}
Tensor bilinear_antialiased(const Tensor& z, Size size) {
  return at::_upsample_bilinear2d_aa(z, size, false);
}
Tensor bicubic(const Tensor& z, Size size) {
  return at::upsample_bicubic2d(z, size, false);
}
Tensor bicubic_antialiased(const Tensor& z, Size size) {
  return at::_upsample_bicubic2d_aa(z, size, false);
}
Tensor nearest(const Tensor& z, Size size) {
  return at::upsample_nearest2d(z, size);
}
Tensor nearest_exact(const Tensor& z, Size size) {
  return at::_upsample_nearest_exact2d(z, size);
}

constexpr auto kModes = std::to_array<LatentUpscaleRow>({
#define LOWRANK_LATENT_UPSCALER(function, name) {name, function},
#include "request/latent_upscaler_rows.inc"
#undef LOWRANK_LATENT_UPSCALER
});

}  // namespace

HiresSize hires_size(const request::GenerationRequest& r, int cell) {
  const int x = r.hr_resize_x, y = r.hr_resize_y;
  if (x == 0 && y == 0)
    return {static_cast<int>(r.width * r.hr_scale.value), static_cast<int>(r.height * r.hr_scale.value), 0,
            0};
  const HiresSize by_width{x, x * r.height / r.width, 0, 0}, by_height{y * r.width / r.height, y, 0, 0};
  if (y == 0) return by_width;
  if (x == 0) return by_height;
  const bool is_narrower = static_cast<double>(r.width) / r.height < static_cast<double>(x) / y;
  HiresSize size = is_narrower ? by_width : by_height;
  size.cut_x = (size.width - x) / cell;
  size.cut_y = (size.height - y) / cell;
  return size;
}

std::span<const LatentUpscaleRow> latent_upscale_modes() {
  return kModes;
}

const LatentUpscaleRow* find_latent_upscale(std::string_view name) {
  const auto it = std::ranges::find(kModes, name, &LatentUpscaleRow::name);
  return it == kModes.end() ? nullptr : &*it;
}

at::Tensor cut_latent(const at::Tensor& latent, const HiresSize& size) {
  return latent.narrow(2, size.cut_y / 2, latent.size(2) - size.cut_y)
      .narrow(3, size.cut_x / 2, latent.size(3) - size.cut_x)
      .contiguous();
}

}  // namespace lowrank::pipeline
