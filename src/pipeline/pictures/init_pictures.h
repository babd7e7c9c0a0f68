// From the pictures and masks of a request to what img2img works with: pictures in the model's size, the mask
// in pixels and in latent cells, and what is needed to put the result back. Pictures only; what is made of
// them by the autoencoder follows in image_latents.h. Source: A1111's StableDiffusionProcessingImg2Img.init.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/mask.h"
#include "image/masking.h"
#include "image/picture.h"
#include "image/resample.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

struct InitPictures {
  std::vector<image::Picture> pictures;  // as the model shall see them; width × height but for resize mode 3
  std::optional<image::Mask> mask;       // width × height, light where the picture is made anew
  std::optional<image::Mask> latent_mask;  // what decides over the latent, usually the same
  // To lay the originals over the result.
  std::vector<image::Picture> originals;
  std::optional<image::Mask> overlay_mask;
  std::optional<image::Rect> place;  // the part of the originals that was worked on; absent: all
  std::vector<std::string> warnings;
};

// `request` is complete: its width and height are the model's size. Throws Error(kBadInput) where mask and
// resize mode exclude each other.
InitPictures prepare_init_pictures(const request::GenerationRequest& request, const image::Enlarge& enlarge);

// One finished picture with the original around it, or as it is when there is no mask.
image::Picture put_back(const InitPictures& init, std::size_t index, const image::Picture& made);

// MD5 of a picture's bytes, the metadata's `Init image hash`. Source: A1111 names saved init pictures by it.
std::string init_picture_hash(const image::Picture& picture);

}  // namespace lowrank::pipeline
