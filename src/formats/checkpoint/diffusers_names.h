// Translates between the two namings of the U-Net's and the VAE's layers: that of CompVis checkpoints, which
// is canonical here, and that of diffusers. CompVis numbers the blocks of the U-Net through, diffusers by
// level, so the numbers of residual blocks per level are read from the names themselves and any depth works.
//
//   diffusers down_blocks.1.attentions.0.proj_in     canonical input_blocks.4.1.proj_in
//   diffusers decoder.up_blocks.0.resnets.1.conv1    canonical decoder.up.3.block.1.conv1
//
// Paths may end in a layer or in a parameter (`.weight`); what follows the known part is carried over. A path
// that fits no rule has no translation (nullopt). Source: the module lists of CompVis/stable-diffusion and
// huggingface/diffusers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::formats {

class UnetNames {
 public:
  // Reads how many blocks each level has from the names of one model, in either naming, without a root.
  static UnetNames from_canonical(std::span<const std::string> paths);
  static UnetNames from_diffusers(std::span<const std::string> paths);

  std::optional<std::string> to_diffusers(std::string_view canonical) const;
  std::optional<std::string> to_canonical(std::string_view diffusers) const;

 private:
  struct Level {
    int first = 0;  // number of the level's first block in input_blocks or output_blocks
    int resnets = 0;
    int sampler = -1;  // place of the sampler in its block (0 going down, 1 or 2 going up), -1: none
  };
  std::vector<Level> down_, up_;
};

class VaeNames {
 public:
  static VaeNames from_canonical(std::span<const std::string> paths);
  static VaeNames from_diffusers(std::span<const std::string> paths);

  std::optional<std::string> to_diffusers(std::string_view canonical) const;
  std::optional<std::string> to_canonical(std::string_view diffusers) const;

 private:
  int decoder_levels_ = 0;  // CompVis counts them from the picture, diffusers from the latent
};

}  // namespace lowrank::formats
