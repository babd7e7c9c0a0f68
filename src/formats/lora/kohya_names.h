// The names under which kohya's files address the layers of a model.
#pragma once

#include <map>
#include <span>
#include <string>

#include "formats/family.h"
#include "formats/layer_address.h"

namespace lowrank::formats {

// Canonical path → module name, prefix and flattened path: "lora_unet_down_blocks_0_attentions_0_proj_in". `paths` are all of
// the component, since diffusers' numbers follow from them.
std::map<std::string, std::string, std::less<>> kohya_names(const FamilyRow& family, Component component,
                                                            std::span<const std::string> paths);

}  // namespace lowrank::formats
