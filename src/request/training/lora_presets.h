// Sets of options for the usual purposes of a training, which the page offers and a person may take as a start. Adding
// one is a row here.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace lowrank::request {

struct PresetOption {
  std::string_view flag, value;  // of lora_table.h, as the command line writes it
};

struct LoraPreset {
  std::string_view name, help;
  std::array<PresetOption, 4> options;  // the same ones in each, so that one replaces another
};

// The first is what a new form has.
std::span<const LoraPreset> lora_presets();

}  // namespace lowrank::request
