// What a network is trained to answer, by the names that files and people give it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lowrank::formats {

// Of the noised latent √ᾱ·x₀ + √(1−ᾱ)·ξ: its noise ξ, or √ᾱ·ξ − √(1−ᾱ)·x₀. Of (1 − t)·x₀ + t·ξ: ξ − x₀, rectified flow.
enum class PredictionType { kEpsilon, kV, kFlow };

// How the steps of a rectified flow are moved towards noise, where neither file nor user says: ComfyUI's ModelSamplingSD3.
constexpr double kFlowShift = 3;

// What comes with a prediction type, and where it is known from.
struct PredictionDetails {
  bool zero_terminal_snr = false;  // the last level is noise alone (arXiv:2305.08891)
  double flow_shift = kFlowShift;  // of a rectified flow
  std::string rule = {};  // which statement decided, such as "the key v_pred"; "" for the family's own type
};

// "epsilon", "v", "flow".
std::string_view prediction_name(PredictionType type);
// By any of its names, in any case: "v", "v_prediction", "rectified_flow" …; nullopt for others.
std::optional<PredictionType> prediction_named(std::string_view name);

}  // namespace lowrank::formats
