// Where the passes of a request begin when they do not begin with noise alone: init pictures, and for hires fix the
// enlarged first pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "pipeline/generate/generation.h"
#include "pipeline/generate/pass.h"
#include "pipeline/pictures/image_latents.h"
#include "pipeline/pictures/init_pictures.h"
#include "sampling/run.h"

namespace lowrank::pipeline {

struct Start {
  std::optional<sampling::ImageStart> image = {};  // nullopt: noise alone
  at::Tensor extra = {};                           // what an inpainting checkpoint sees beside the latent
};

// The first pass, for all batches. What the init pictures are warned of is added to the result.
struct FirstStart {
  InitPictures init = {};  // img2img
  Start start = {};
};
FirstStart start_first_pass(const Pass& pass, const Generation& generation, Upscalers& upscalers,
                            GenerationResult& result);

// The second pass of hires fix, from the latents [n, 4, h, w] of the first, which `before` decodes; or from the picture
// that the request has in their place.
Start start_second_pass(const Pass& pass, const Generation& generation, const at::Tensor& latents,
                        const LoadedModel& before, Upscalers& upscalers, GenerationResult& result);

}  // namespace lowrank::pipeline
