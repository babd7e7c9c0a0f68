#include "formats/lora/kohya_names.h"

#include <fmt/format.h>

#include "formats/checkpoint/diffusers_names.h"
#include "formats/lora/naming_table.h"

namespace lowrank::formats {

std::map<std::string, std::string, std::less<>> kohya_names(const FamilyRow& family, Component component,
                                                            std::span<const std::string> paths) {
  const auto unet = UnetNames::from_canonical(paths);
  std::map<std::string, std::string, std::less<>> names;
  for (const std::string& path : paths) {
    std::string name;
    if (const TextEncoderRow* encoder = text_encoder(family, component)) {
      name = fmt::format("{}text_model.{}", encoder->kohya_prefix, path);
    } else {
      const bool is_as_stored = family.kohya_unet == KohyaUnetNames::kCheckpoint;
      name = "lora_unet_" + (is_as_stored ? path : unet.to_diffusers(path).value_or(path));
    }
    names.emplace(path, flattened(name));
  }
  return names;
}

}  // namespace lowrank::formats
