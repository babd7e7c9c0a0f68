// How the module part of a LoRA key names a layer: which prefix means which component, and which prefixes
// belong to models that are not Stable Diffusion. The one place where a prefix is spelled. Source: the key
// names that kohya sd-scripts, LyCORIS, OneTrainer, PEFT and diffusers write.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/layer_address.h"

namespace lowrank::formats {

// A key cut into the module's path and the part of the adapter it holds.
struct KeySplit {
  std::string module;     // as written: "lora_unet_mid_block_attentions_0_proj_in"
  std::string_view part;  // "lora_down.weight", the same for every writer
};
// nullopt: no known suffix.
std::optional<KeySplit> split_key(std::string_view key);

struct ModuleName {
  Component component = Component::kUnet;
  EncoderNumber number = EncoderNumber::kImplied;
  // Of the one matrix of query, key and value in OpenCLIP's naming: the three layers that are meant, each as `flat`.
  std::vector<std::string> fused;
  std::string path;  // after the prefix, in its writer's form: dots or underscores
  // `path` with every dot an underscore: the name to look up. Of a text encoder without `text_model`, and in transformers'
  // naming where the writer used OpenCLIP's.
  std::string flat;
};
// nullopt: no known prefix.
std::optional<ModuleName> name_of_module(std::string_view module);

// The key without what stands before it in Stable Diffusion's files too; "" when it can only be Stable Diffusion's.
std::string_view foreign_key(std::string_view key);

// Every dot an underscore.
std::string flattened(std::string_view path);

}  // namespace lowrank::formats
