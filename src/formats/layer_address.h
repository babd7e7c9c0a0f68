// Where a layer lives, in the one canonical naming that every other naming is translated to: that of the
// SD 1.x single-file checkpoint, without the component's root.
//
//   component       root in the checkpoint                              example path
//   kTextEncoder    cond_stage_model.transformer.text_model.            encoder.layers.0.self_attn.q_proj
//   kUnet           model.diffusion_model.                              input_blocks.1.1.proj_in
//   kVae            first_stage_model.                                  decoder.mid.block_1.conv1
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace lowrank::formats {

enum class Component { kTextEncoder, kUnet, kVae };

std::string_view component_name(Component component);  // "text encoder", "U-Net", "VAE"

struct LayerAddress {
  Component component = Component::kUnet;
  std::string path;
  friend auto operator<=>(const LayerAddress&, const LayerAddress&) = default;
};

}  // namespace lowrank::formats
