// Untrained models: every parameter of a Stable Diffusion 1.x of chosen dimensions, under its canonical name, with the
// initial values that training starts from. Used by the trainer, by `lowrank model random` and by tests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/layer_address.h"
#include "tensor/state_dict.h"

namespace lowrank::model {

struct ModelSpec {
  // Text encoder
  std::int64_t text_width = 768, text_layers = 12, vocabulary = 49408, positions = 77;
  // U-Net: channels at level i are unet_channels · unet_mult[i]; transformers at the levels marked in unet_attention and
  // in the middle.
  std::int64_t unet_channels = 320, unet_blocks = 2, latent_channels = 4, in_channels = 4;
  std::vector<std::int64_t> unet_mult = {1, 2, 4, 4};
  std::vector<bool> unet_attention = {true, true, true, false};
  // VAE: the decoder has one block a level more than the encoder.
  std::int64_t vae_channels = 128, vae_blocks = 2;
  std::vector<std::int64_t> vae_mult = {1, 2, 4, 4};
};

// "sd15": the dimensions of Stable Diffusion 1.5; "starter": those of the starter model; "tiny": a few hundred
// kilobytes for tests. Throws Error(kBadInput) naming the choices.
ModelSpec model_spec(std::string_view name);

struct ParameterSpec {
  formats::Component component;
  std::string name;  // canonical
  std::vector<std::int64_t> shape;
  enum class Init { kOnes, kZeros, kUniform, kNormal } init;
  double scale;  // bound of kUniform, deviation of kNormal
};

// All parameters in the order in which the components are built.
std::vector<ParameterSpec> parameter_specs(const ModelSpec& spec);

// Deterministic values for one parameter: float32, from the seed and the parameter's own name, so that the order of
// calls does not matter.
at::Tensor initial_value(const ParameterSpec& parameter, std::uint64_t seed);

// One component's state dict.
tensor::StateDict random_state(const ModelSpec& spec, formats::Component component, std::uint64_t seed);

// The component's root in a single-file checkpoint: "model.diffusion_model." …
std::string_view checkpoint_root(formats::Component component);

}  // namespace lowrank::model
