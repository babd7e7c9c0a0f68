// How a record of the index is put into words, the same for the terminal and the HTTP API.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "library/index/record.h"

namespace lowrank::library {

// The base model in few words: "SD 1.x", "Pony", "FLUX", "other". `said` is what the makers say.
std::string base_text(const std::string& architecture, const std::string& said);
inline std::string base_text(const Record& record) {
  return base_text(record.architecture, record.base_model);
}

std::string rank_text(std::int64_t low, std::int64_t high);  // "4", "4 to 16", ""
// What to add to the prompt: the activation text, else the trigger words, else the most frequent tag of the captions;
// may be "".
std::string trigger_text(const Record& record);
std::string weight_text(double weight);  // "1" when none is stated

// The hash by which infotexts name a LoRA: what its metadata state, else AutoV3 (SHA-256 of a pickle); 12 digits, "" not known yet.
std::string lora_hash(const Record& record);

}  // namespace lowrank::library
