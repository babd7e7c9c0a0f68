// What people wrote about a LoRA, inside its file and in the files beside it: A1111's NAME.json, Civitai
// Helper's NAME.civitai.info, previews. Nothing here is needed to use the LoRA; a file that cannot be
// understood is passed over with a note.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lowrank::library {

struct LoraCard {
  std::string description;
  std::string activation_text;  // what to add to the prompt
  std::string negative_text;
  std::string base_model;                  // as the sidecar says, else the metadata; "" unknown
  double preferred_weight = 0;             // 0: none stated
  std::vector<std::string> trigger_words;  // Civitai's, else modelspec's trigger phrase, else none
  std::vector<std::pair<std::string, long>>
      tags;                        // of the training captions with their counts, most frequent first
  std::filesystem::path preview;   // picture beside the file; "" none
  std::vector<std::string> notes;  // one sentence each: what could not be read
};

// `metadata` is the file's __metadata__.
LoraCard read_lora_card(const std::filesystem::path& path,
                        const std::map<std::string, std::string>& metadata);

// The activation text, else the first trigger words, else the most frequent tag of all captions: one line,
// may be "".
std::string short_trigger(const LoraCard& card);

}  // namespace lowrank::library
