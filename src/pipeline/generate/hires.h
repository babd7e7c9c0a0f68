// The geometry of hires fix: how large the second pass is, and how a latent grows to it.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string_view>

#include "request/generation_request.h"

namespace lowrank::pipeline {

// Sizes in pixels; `cut` in latent cells, taken off in all after growing, half at each end, an odd one at the
// far end.
struct HiresSize {
  int width = 0, height = 0;
  int cut_x = 0, cut_y = 0;
};

// By factor: ⌊W·scale⌋ × ⌊H·scale⌋. To a size: one side 0 keeps the proportions; both given, it grows until
// it covers them and is cut. Source: A1111's calculate_target_resolution, with a cell of 8 pixels there.
HiresSize hires_size(const request::GenerationRequest& request, int cell);

struct LatentUpscaleRow {
  std::string_view name;  // A1111's
  at::Tensor (*grow)(const at::Tensor& latent, at::IntArrayRef size);
};
std::span<const LatentUpscaleRow> latent_upscale_modes();
// nullptr when there is none of that name: then it may be an upscaler of pictures.
const LatentUpscaleRow* find_latent_upscale(std::string_view name);

// latent [n, 4, h, w] → what is left after the cut.
at::Tensor cut_latent(const at::Tensor& latent, const HiresSize& size);

}  // namespace lowrank::pipeline
