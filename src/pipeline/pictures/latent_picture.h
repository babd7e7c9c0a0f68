// The border between pictures and latents: the last step of a generation, and the first of img2img.
#pragma once

#include <ATen/core/Tensor.h>

#include "image/picture.h"
#include "pipeline/resident/checkpoint_loader.h"

namespace lowrank::pipeline {

// [3, H, W] float, nominally −1…1 → 8 bits: clamp((v + 1) / 2, 0, 1) · 255, truncated, as A1111 does.
image::Picture to_picture(const at::Tensor& pixels);

// [3, H, W] float in 0…1 → 8 bits, rounded: what upscaler models give.
image::Picture rounded_picture(const at::Tensor& pixels);

// picture → [1, 3, H, W] float32 in 0…1.
at::Tensor picture_tensor(const image::Picture& picture);

// pixels [1, 3, H, W] in −1…1 → latent [1, 4, H/8, W/8] in the sampler's units. The mean of the autoencoder's
// answer: A1111 adds its very small deviation times noise from a generator that nobody seeds, so that its
// pictures never repeat exactly; ours do. A model's tiny autoencoder stands in for the VAE, here and below.
at::Tensor encode_pixels(const LoadedModel& model, const at::Tensor& pixels);

// latent [1, 4, h, w] → pixels [3, 8h, 8w], nominally −1…1. Throws as decode_latent().
at::Tensor decode_pixels(const LoadedModel& model, const at::Tensor& latent);

// latent [1, 4, h, w] as the sampler left it → picture of 8h × 8w. Throws Error(kUnsupported) when the
// numbers are not finite.
image::Picture decode_latent(const LoadedModel& model, const at::Tensor& latent);

// A cheap picture of latent [4, h, w]. SD 1's latents are nearly linear in colour, so four weights per
// channel give a picture of h × w; a model with latents of its own is decoded.
image::Picture preview_latent(const LoadedModel& model, const at::Tensor& latent);

}  // namespace lowrank::pipeline
