// How a record of the index is put into words, the same for the terminal and the HTTP API.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "library/index/record.h"

namespace lowrank::library {

// The base model in few words: "SD 1.x", "Pony", "FLUX", "other". `said` is what the makers say.
std::string base_text(const std::string& architecture, const std::string& said);
inline std::string base_text(const Record& record) {
  return base_text(record.architecture, record.base_model);
}

// The checkpoint that is drawn with, and the layouts of the LoRAs that fit it.
struct Fitting {
  std::string checkpoint;  // "" there is none: a file's family alone is looked at
  std::set<std::int64_t> layouts;
  std::string architecture, subfamily;  // of the checkpoint; "" unknown
};
bool fits(const Record& record, const Fitting& fitting);
// Why a LoRA does not work here, for people who know no layers; "" when it does.
std::string misfit_text(const Record& record, const Fitting& fitting);
// What is to be expected of one that fits, but was made for another offspring of the family; "" nothing.
std::string subfamily_text(const Record& record, const Fitting& fitting);

std::string rank_text(std::int64_t low, std::int64_t high);  // "4", "4 to 16", ""
// What to add to the prompt: the activation text, else the trigger words, else the most frequent tag of the captions;
// may be "".
std::string trigger_text(const Record& record);
std::string weight_text(double weight);  // "1" when none is stated

// The hash by which infotexts name a LoRA: what its metadata state, else AutoV3 (SHA-256 of a pickle); 12 digits, "" not known yet.
std::string lora_hash(const Record& record);

}  // namespace lowrank::library
