// Writes a safetensors file in the reference library's order (dtype by falling alignment, then key), so that
// equal contents give equal bytes and hashes. The file appears whole or not at all.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "weights/tensor_view.h"

namespace lowrank::weights {

// Throws Error(kBadInput) for a repeated name or a byte count that does not match the shape, Error(kIo) on
// failure.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace lowrank::weights
