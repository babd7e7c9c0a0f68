// Whether a network's first answer looks like what it is taken for. A checkpoint whose prediction type nobody states is drawn
// as its family's, and a wrong one gives nothing but noise.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "formats/prediction.h"

namespace lowrank::sampling {

// From this timestep on, an input is noise with hardly any picture in it.
constexpr float kNoiseAloneFrom = 900;

// What the answer [rows, channels, h, w] to an input of the same shape, drawn from noise alone, looks like, where that is not
// `taken_for`; nullopt: it may well be that, or like nothing known. Of noise ξ and the picture x₀ that the network guesses, which is
// blurred at such a level, the answers are
//   eps   ξ         all but equal to the input
//   v     −x₀       smooth, and hardly like the input
//   flow  ξ − x₀    like the input, which it leaves a smooth difference to
std::optional<formats::PredictionType> likelier_prediction(const at::Tensor& input, const at::Tensor& answer,
                                                           formats::PredictionType taken_for);

}  // namespace lowrank::sampling
