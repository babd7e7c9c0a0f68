// The picture beside a LoRA.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace lowrank::library {

// Makes a PNG, JPEG or WebP the preview: NAME.png, where A1111 looks first, with the settings that the picture carries.
// `label` is for messages. Throws Error(kBadInput) when the bytes are no picture, or more than may be decoded.
std::filesystem::path set_preview(const std::filesystem::path& model, std::span<const std::byte> bytes,
                                  const std::string& label);

}  // namespace lowrank::library
