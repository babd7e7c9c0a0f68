// Whether a LoRA of the index fits the checkpoint that is drawn with, in words for the page and the HTTP API.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "library/fitting_checkpoints.h"
#include "library/index/record.h"

namespace lowrank::library {

// The checkpoint that is drawn with, and the layouts of the LoRAs that fit it.
struct Fitting {
  std::string checkpoint;  // "" there is none: a file's family alone is looked at
  std::set<std::int64_t> layouts;
  std::string architecture, subfamily;  // of the checkpoint; "" unknown
};
bool fits(const Record& record, const Fitting& fitting);
// Why a LoRA does not work here and which checkpoints it fits, for people who know no layers; "" when it works.
std::string misfit_text(const Record& record, const Fitting& fitting, FittingCheckpoints& others);
// What is to be expected of one that fits, but was made for another offspring of the family; "" nothing.
std::string subfamily_text(const Record& record, const Fitting& fitting);

}  // namespace lowrank::library
