// Settings out of pictures and texts that other programs made: each program keeps them in places and words of its
// own. A new one is a reader in a file here and a row of the table in generators.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prompt/generators/picture_settings.h"
#include "prompt/infotext.h"

namespace lowrank::prompt {

struct GeneratorRow {
  std::string_view name;
  // nullopt: not from this program.
  std::optional<PictureSettings> (*read)(const PictureTexts& picture);
};

// In the order in which they are asked; the first that answers counts.
std::span<const GeneratorRow> generator_table();

// nullopt when the picture says nothing that is understood.
std::optional<PictureSettings> settings_of_picture(const PictureTexts& picture);

// A text that stands for itself: A1111's, or another program's JSON. Any text has a reading.
PictureSettings settings_of_text(std::string_view text);

}  // namespace lowrank::prompt
