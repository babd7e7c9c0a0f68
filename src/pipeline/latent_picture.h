// The last step: a latent becomes a picture.
#pragma once

#include <ATen/core/Tensor.h>

#include "image/picture.h"
#include "pipeline/checkpoint_loader.h"

namespace lowrank::pipeline {

// [3, H, W] float, nominally −1…1 → 8 bits: clamp((v + 1) / 2, 0, 1) · 255, truncated, as A1111 does.
image::Picture to_picture(const at::Tensor& pixels);

// latent [1, 4, h, w] as the sampler left it → picture of 8h × 8w. Throws Error(kUnsupported) when the
// numbers are not finite.
image::Picture decode_latent(const LoadedModel& model, const at::Tensor& latent);

// A cheap picture of latent [4, h, w]. SD 1's latents are nearly linear in colour, so four weights per
// channel give a picture of h × w; a model with latents of its own is decoded.
image::Picture preview_latent(const LoadedModel& model, const at::Tensor& latent);

}  // namespace lowrank::pipeline
