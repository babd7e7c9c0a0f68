// Image and video models that are none of Stable Diffusion 1, 2 and XL, told by the keys of their LoRAs.
#pragma once

#include <optional>
#include <string_view>

namespace lowrank::formats {

// The architecture whose LoRAs carry this key: "FLUX"; several where its name leaves it open: "Wan or Hunyuan-DiT". nullopt: none.
std::optional<std::string_view> foreign_architecture(std::string_view key);

// Whether `other`, which another key of the same file tells, says more than `known`.
bool tells_more(std::string_view other, std::string_view known);

}  // namespace lowrank::formats
