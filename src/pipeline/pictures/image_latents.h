// What the autoencoder makes of init pictures: the latent that a walk starts from, the mask over its cells,
// and the further channels that an inpainting checkpoint looks at.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "pipeline/pictures/init_pictures.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "sampling/rng.h"

namespace lowrank::pipeline {

struct ImageLatents {
  at::Tensor latent;   // [1 or n, 4, h, w]
  at::Tensor repaint;  // [1, 1, h, w]: 1 where it is made anew; undefined: everywhere
};

// `seeds`: one per picture of the first batch, for "latent noise" under the mask.
ImageLatents encode_init_pictures(const LoadedModel& model, const request::GenerationRequest& request,
                                  const InitPictures& init, const std::vector<std::uint64_t>& seeds,
                                  sampling::RngKind rng);

// The extra channels [·, 5, h, w] of an inpainting checkpoint: mask, then the latent of the picture without
// what lies under it. Undefined for other checkpoints. Source: A1111's inpainting_image_conditioning and
// txt2img_image_conditioning.
//   from pictures [n, 3, H, W] in −1…1 and a mask [1, 1, H, W], 1 inside (undefined: 1 everywhere); `weight`
//   0 … 1 says how far the picture is hidden there
at::Tensor inpainting_channels(const LoadedModel& model, const at::Tensor& pixels, const at::Tensor& mask,
                               double weight, at::IntArrayRef latent_size);
//   without a picture: all is masked, and what lies outside is grey
at::Tensor inpainting_channels(const LoadedModel& model, std::int64_t width, std::int64_t height);

// The init pictures as one tensor [n, 3, H, W] in −1…1, and the mask [1, 1, H, W], rounded if asked for.
at::Tensor pixels_of(const std::vector<image::Picture>& pictures);
at::Tensor mask_tensor(const image::Mask& mask, bool rounds);

}  // namespace lowrank::pipeline
