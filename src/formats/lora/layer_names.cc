// Note [layer names]: underscore names cannot be split back into paths (`to_out_0`, `time_emb_proj`), so they
// are not parsed. Instead every layer of the model is listed under both its namings, flattened, and looked
// up.
#include "base/error.h"
#include "formats/checkpoint/diffusers_names.h"
#include "formats/lora/lora_file.h"
#include "formats/lora/naming_table.h"

namespace lowrank::formats {

std::map<std::string, std::string, std::less<>> layer_names(Component component,
                                                            const std::vector<std::string>& canonical_paths) {
  std::map<std::string, std::string, std::less<>> names;
  const auto add = [&](std::string name, const std::string& path) {
    const auto [place, is_new] = names.emplace(std::move(name), path);
    if (!is_new && place->second != path) {
      throw Error(kBadInput,
                  "layers '{}' and '{}' of the {} share the name '{}'; the checkpoint does not have the "
                  "layout of a Stable Diffusion model.",
                  place->second, path, component_name(component), place->first);
    }
  };
  const auto unet = UnetNames::from_canonical(canonical_paths);
  const auto vae = VaeNames::from_canonical(canonical_paths);
  for (const std::string& path : canonical_paths) {
    add(flattened(path), path);
    std::optional<std::string> other;
    switch (component) {
      case Component::kTextEncoder:
      case Component::kTextEncoder2:  // naming_table.h brings all namings to this one
        break;
      case Component::kUnet:
        other = unet.to_diffusers(path);
        break;
      case Component::kVae:
        other = vae.to_diffusers(path);
        break;
    }
    if (other) add(flattened(*other), path);
  }
  return names;
}

}  // namespace lowrank::formats
