#include "sampling/prediction_watch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace lowrank::sampling {
namespace {

using formats::PredictionType;

// Correlation about 0, as of vectors.
double likeness(const at::Tensor& a, const at::Tensor& b) {
  const double size = (a.square().sum().item<double>()) * (b.square().sum().item<double>());
  return size > 0 ? (a * b).sum().item<double>() / std::sqrt(size) : 0;
}

// How like its neighbours each value is, about its channel's mean: 0 for noise, nearly 1 for a blurred picture; the smaller of
// both directions.
double smoothness(const at::Tensor& x) {
  const at::Tensor around = x - x.mean({2, 3}, true);
  double least = 1;
  for (const std::int64_t dim : {2, 3}) {
    const std::int64_t size = x.size(dim);
    if (size < 2) return 0;
    least = std::min(least, likeness(around.narrow(dim, 0, size - 1), around.narrow(dim, 1, size - 1)));
  }
  return least;
}

double rms(const at::Tensor& x) {
  return std::sqrt(x.square().mean().item<double>());
}

// Bounds between the three. The noise that eps leaves of the input is at most 0.13 of it at timestep 900; a guessed picture has at
// least a quarter of the noise's size, and its neighbours are all but equal.
constexpr double kLike = 0.5, kEqual = 0.9, kPicture = 0.25, kSmooth = 0.7;

}  // namespace

std::optional<PredictionType> likelier_prediction(const at::Tensor& input, const at::Tensor& answer,
                                                  PredictionType taken_for) {
  const at::Tensor x = input.to(at::kDouble), y = answer.to(at::kDouble), rest = x - y;
  const double alike = likeness(x, y), size = rms(x);
  if (!(std::isfinite(alike) && size > 0)) return std::nullopt;
  std::optional<PredictionType> like;
  if (alike > kLike && rms(rest) > kPicture * size && smoothness(rest) > kSmooth) {
    like = PredictionType::kFlow;
  } else if (alike > kEqual) {
    like = PredictionType::kEpsilon;
  } else if (std::abs(alike) < kLike && rms(y) > kPicture * size && smoothness(y) > kSmooth) {
    like = PredictionType::kV;
  }
  return like == taken_for ? std::nullopt : like;
}

}  // namespace lowrank::sampling
