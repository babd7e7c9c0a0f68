// Untrained models: every parameter of a Stable Diffusion model of chosen family and dimensions, under its canonical name,
// with the initial values that training starts from. Used by the trainer, by `lowrank model random` and by tests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/family.h"
#include "formats/layer_address.h"
#include "tensor/state_dict.h"

namespace lowrank::model {

struct ModelSpec {
  struct Text {
    std::int64_t width, layers;
  };
  formats::BaseModel family = formats::BaseModel::kSd1;
  // Of the family's encoders, in its order. The U-Net reads their outputs side by side.
  std::vector<Text> texts = {{768, 12}};
  std::int64_t vocabulary = 49408, positions = 77;
  // U-Net: channels at level i are unet_channels · unet_mult[i], with unet_depth[i] transformer blocks in an attention of
  // that level (0: no attention) and middle_depth in the middle's.
  std::int64_t unet_channels = 320, unet_blocks = 2, latent_channels = 4, in_channels = 4;
  std::vector<std::int64_t> unet_mult = {1, 2, 4, 4};
  std::vector<int> unet_depth = {1, 1, 1, 0};
  int middle_depth = 1;
  bool linear_projections = false;  // around the transformer blocks; else convolutions of 1×1
  // VAE: the decoder has one block a level more than the encoder.
  std::int64_t vae_channels = 128, vae_blocks = 2;
  std::vector<std::int64_t> vae_mult = {1, 2, 4, 4};
};

// "sd15", "sd2", "sdxl", "sdxl-refiner": the dimensions of Stability AI's models; "starter": those of the starter model;
// "tiny": a few hundred kilobytes for tests. Throws Error(kBadInput) naming the choices.
ModelSpec model_spec(std::string_view name);
// What model_spec() knows.
std::vector<std::string> model_spec_names();

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

// What precedes canonical names in a single-file checkpoint of SD 1.x: "model.diffusion_model." …
std::string_view checkpoint_root(formats::Component component);

// The same parameters as a single file of the family holds them: with their roots, and of open_clip's encoders in its names
// and with its one matrix for query, key and value. In the order of names.
std::vector<ParameterSpec> file_parameters(const ModelSpec& spec);

}  // namespace lowrank::model
