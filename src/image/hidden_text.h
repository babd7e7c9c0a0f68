// Text in the lowest bits of a picture's pixels, where NovelAI and an extension of the web UI put the settings once more
// (stealth PNG info): they outlive sites that strip what stands beside the pixels.
//
//   alpha channel   "stealth_pnginfo" or "stealth_pngcomp", a bit a pixel
//   colours         "stealth_rgbinfo" or "stealth_rgbcomp", three bits a pixel, red first
//
// Column by column from the left, each from above; bits of a byte from the highest. Behind the name 32 bits, big endian:
// how many bits the text has; then the text in UTF-8, with "comp" as a gzip file.
// Source: the extension's scripts/stealth_pnginfo.py, NovelAI's own pictures.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace lowrank::image {

// nullopt for pictures without one, of formats whose pixels are not kept exactly, or damaged. At most 8 MB are read, also
// unpacked.
std::optional<std::string> hidden_text(std::span<const std::byte> bytes, const std::string& name);

}  // namespace lowrank::image
