// The one reader of settings: of pictures and texts of every program that prompt/generators knows, and in the names of
// this collection.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "library/library.h"
#include "prompt/generators/generators.h"

namespace lowrank::library {

// Also of what stands in the pixels' lowest bits. nullopt when the bytes say nothing that is understood. Throws Error(kBadInput) when they are no picture.
std::optional<prompt::PictureSettings> settings_of_picture(std::span<const std::byte> bytes,
                                                           const std::string& name);

// One sentence, without the picture's name in front, for a picture that settings_of_picture() finds nothing in; ""
// when it has no words at all.
std::string what_it_says(std::span<const std::byte> bytes, const std::string& name);

// The same for a file; a picture without settings may have them in a text of its name beside it (`.txt`, `.json`),
// which a note tells.
std::optional<prompt::PictureSettings> settings_beside(const std::filesystem::path& picture);

// Of a picture, or of a `.txt` or `.json` file. Throws Error when there are none.
prompt::PictureSettings load_settings(const std::filesystem::path& file);

// LoRAs of the prompt that have another name here are renamed: by the hash that the text gives, by the version that
// Civitai gives.
void use_local_names(prompt::Infotext& infotext, const Library& library);

}  // namespace lowrank::library
