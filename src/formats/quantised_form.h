// Names the program that quantised a file's weights, where that takes more than a scale to undo (weights/scaled_numbers.h
// reads what a scale alone restores). Such a file is whole; it is only not for LowRank.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "weights/tensor_file.h"

namespace lowrank::formats {

// "bitsandbytes nf4", "quanto", "sdnq int8" …; nullopt for numbers that can be read. Whole numbers as weights are a form
// too, with `Integers::kAreNone`; factors of a LoRA may have them with their scales.
enum class Integers { kAreNone, kMayHaveScales };
std::optional<std::string> quantised_form(const weights::TensorFile& file, Integers integers);

// Throws Error(kUnsupported) with the form and the remedy. `stated`: what a config.json beside the file says of it; "".
void refuse_quantised(const weights::TensorFile& file, Integers integers, std::string_view stated = {});

}  // namespace lowrank::formats
