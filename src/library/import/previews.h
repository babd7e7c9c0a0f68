// Pictures and words that go beside a file when it is taken in.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace lowrank::library {

inline constexpr std::size_t kMaxPreviewBytes = 32u << 20;

// Writes the bytes of a PNG, JPEG or WebP as NAME.preview.EXT beside the model, with the extension that the
// bytes have. Throws Error when they are no picture that can be decoded.
void write_preview(const std::filesystem::path& model, const std::string& bytes);

// What a LoRA's own metadata say, written into the files beside it where those are silent: trigger word, base
// model, description, preview. Needs no network. What could not be done goes to `remarks`.
void enrich_from_metadata(const std::filesystem::path& model, std::vector<std::string>& remarks);

// The bytes of a base64 text, with or without "data:…;base64," before them; "" when it is none.
std::string base64_decoded(std::string_view text);

}  // namespace lowrank::library
