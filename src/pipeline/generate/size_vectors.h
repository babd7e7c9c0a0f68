// What SDXL's models are told of the picture beside its text: sizes, crop and score, each number as a vector.
#pragma once

#include "formats/family.h"
#include "pipeline/resident/prompted_model.h"

namespace lowrank::pipeline {

// In pixels.
struct PictureSize {
  double original_height = 0, original_width = 0;
  double crop_top = 0, crop_left = 0;
  double target_height = 0, target_width = 0;
  double aesthetic_score = 0, low_aesthetic_score = 0;  // of the refiner: for prompt and negative prompt
};

// What the web UI says of every picture: that it always had its own size.
inline PictureSize own_size(std::int64_t height, std::int64_t width) {
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  return {.original_height = h, .original_width = w, .target_height = h, .target_width = w};
}

// Undefined vectors for a family that is told nothing. Source: A1111's sd_models_xl, sgm's ConcatTimestepEmbedderND.
SizeVectors size_vectors(formats::SizeConditioning kind, const PictureSize& size);

// numbers [n] → [n · 256]: of each 128 cosines, then 128 sines.
at::Tensor number_vectors(const at::Tensor& numbers);

}  // namespace lowrank::pipeline
