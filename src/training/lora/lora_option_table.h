// The one list of what can be set about the training of a LoRA from text: kohya's option names (with
// hyphens), what they mean, and where they go. The command line reads it; a job of the server may.
#pragma once

#include <span>
#include <string_view>

#include "training/lora/lora_options.h"

namespace lowrank::training {

struct LoraOptionRow {
  std::string_view flag;   // without dashes: "network-dim"
  std::string_view value;  // what to write behind it: "N", "RATE"; empty: a switch that takes nothing
  std::string_view help;   // with the default
  void (*set)(LoraTrainOptions& options, std::string_view text, std::string_view flag);
};

std::span<const LoraOptionRow> lora_option_table();
const LoraOptionRow* lora_option(
    std::string_view flag);  // underscores count as hyphens; nullptr: there is none

// Sets one option; switches take "" or "true". Throws Error(kBadInput) naming the option when it is unknown,
// when the text is none of its type, or for options of kohya's that LowRank lacks (naming what to do
// instead).
void set_lora_option(LoraTrainOptions& options, std::string_view flag, std::string_view text);

}  // namespace lowrank::training
