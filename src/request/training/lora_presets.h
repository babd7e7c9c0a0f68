// Sets of options by what a person wants to teach, which the page and the command line offer as a start; each says why.
// Adding one is a row here.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::request {

struct PresetOption {
  std::string_view flag, value;  // of lora_table.h, as the command line writes it
  std::string_view why = {};     // of this value, a clause
};

struct LoraPreset {
  std::string_view name, help;  // "style"; what it is for and which pictures it needs
  // The same flags in each, in the same order, so that one preset replaces another.
  std::array<PresetOption, 9> options;
};

// The first is what a new form has.
std::span<const LoraPreset> lora_presets();

// In any case of letters; nullptr: there is none.
const LoraPreset* find_lora_preset(std::string_view name);
std::vector<std::string> lora_preset_names();

}  // namespace lowrank::request
