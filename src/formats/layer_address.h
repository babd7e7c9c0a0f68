// Where a layer lives, in the one canonical naming that every other naming is translated to: that of the
// SD 1.x single-file checkpoint, without the component's root.
//
//   component       root in the checkpoint                              example path
//   kTextEncoder    cond_stage_model.transformer.text_model.            encoder.layers.0.self_attn.q_proj
//   kTextEncoder2   conditioner.embedders.1.model. (SDXL's OpenCLIP)    encoder.layers.0.self_attn.q_proj
//   kUnet           model.diffusion_model.                              input_blocks.1.1.proj_in
//   kVae            first_stage_model.                                  decoder.mid.block_1.conv1
//
// OpenCLIP encoders (SD 2.x's, SDXL's second) are addressed by transformers' names too: the one matrix of query, key and
// value in the file is three layers here, and `text_projection` is a layer of its own.
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace lowrank::formats {

enum class Component { kTextEncoder, kTextEncoder2, kUnet, kVae };

std::string_view component_name(
    Component component);  // "text encoder", "second text encoder", "U-Net", "VAE"
// Either text encoder: what a LoRA's weight for text acts on.
bool is_text_encoder(Component component);

// Whether a file's name for a text encoder says which of SDXL's two it is.
enum class EncoderNumber {
  kNone,     // "lora_te_": the only one, or either
  kImplied,  // "text_encoder.": the first or only one
  kStated,   // "lora_te1_": there are two
};

struct LayerAddress {
  Component component = Component::kUnet;
  std::string path;
  friend auto operator<=>(const LayerAddress&, const LayerAddress&) = default;
};

}  // namespace lowrank::formats
