#include "pipeline/generate/size_vectors.h"

#include <ATen/ATen.h>

#include <vector>

#include "model/timestep_embedding.h"

namespace lowrank::pipeline {

at::Tensor number_vectors(const at::Tensor& numbers) {
  return model::timestep_embedding(numbers, formats::kSizeNumberWidth).flatten();
}

SizeVectors size_vectors(formats::SizeConditioning kind, const PictureSize& size) {
  const auto vectors = [&](double score) {
    std::vector<double> numbers = {size.original_height, size.original_width, size.crop_top, size.crop_left};
    if (kind == formats::SizeConditioning::kTarget) {
      numbers.insert(numbers.end(), {size.target_height, size.target_width});
    } else {
      numbers.push_back(score);
    }
    return number_vectors(at::tensor(numbers, at::kFloat));
  };
  if (kind == formats::SizeConditioning::kNone) return {};
  return {vectors(size.aesthetic_score), vectors(size.low_aesthetic_score)};
}

}  // namespace lowrank::pipeline
