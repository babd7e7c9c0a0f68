// Whose latents a VAE file reads. The families' VAEs have the same names and shapes, so that only what files say of
// themselves, known hashes and people's words tell; words can be wrong: a hint, never a gate.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "formats/family.h"

namespace lowrank::formats {

struct VaeFamily {
  double latent_scale = 0;  // as in the rows of its families
  std::string reason;       // "its name", "its hash is sdxl_vae's", "metadata modelspec.architecture …"
};

// By metadata (lowrank.latent_scale, modelspec.architecture), then by name, then by hash: `sha256` gives its first ten hexadecimal
// digits or "", and is asked only when nothing else tells. nullopt: nothing tells.
std::optional<VaeFamily> recognise_vae(const std::filesystem::path& path,
                                       const std::map<std::string, std::string>& metadata,
                                       const std::function<std::string()>& sha256);

// "SDXL", "SD 1.x or SD 2.x": the families whose latents have that scale; "" none.
std::string families_of_scale(double latent_scale);

}  // namespace lowrank::formats
