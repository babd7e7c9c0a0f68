// Live previews of a pass: pictures of latents on the way, made as the listener wants them, or more cheaply where that cannot be.
// They never fail the picture that they show.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "image/picture.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "request/preview_types.h"

namespace lowrank::pipeline {

class Previewer {
 public:
  // What cannot be made as wanted is told in `warnings`, once in a session. All must outlive this object.
  Previewer(const LoadedModel& model, request::PreviewType type, TinyAutoencoders& tiny,
            std::vector<std::string>& warnings);

  // Of a denoised latent [4, h, w]; 8h × 8w pixels, or h × w of the cheap kind.
  image::Picture picture(const at::Tensor& latent);

 private:
  void fall_back(const std::string& why);

  const LoadedModel& model_;
  TinyAutoencoders& tiny_;
  std::vector<std::string>& warnings_;
  std::shared_ptr<model::TinyDecoder> decoder_;
  bool is_full_ = false;
};

}  // namespace lowrank::pipeline
