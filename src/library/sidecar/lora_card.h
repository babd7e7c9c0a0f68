// What people wrote about a LoRA, inside its file and in the files beside it: A1111's NAME.json, Civitai
// Helper's NAME.civitai.info, ComfyUI-Lora-Manager's NAME.metadata.json, previews. Nothing here is needed to
// use the LoRA; a file that cannot be understood is passed over with a note. Of two that say the same, the
// user's word (NAME.json) wins over LoRA Manager's, that over Civitai's, and that over the metadata.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "library/sidecar/lora_type.h"

namespace lowrank::library {

constexpr std::size_t kMaxSidecarBytes = 16u << 20;  // what is larger is no card

struct LoraCard {
  std::string title;  // of Civitai's page or modelspec; "" none
  std::string description;
  std::string activation_text;  // what to add to the prompt
  std::string negative_text;
  std::string base_model;                  // as the sidecar says, else the metadata; "" unknown
  std::string subfamily;                   // as the user set it; "" nothing
  double preferred_weight = 0;             // 0: none stated
  std::vector<std::string> trigger_words;  // Civitai's, else modelspec's trigger phrase, else none
  std::vector<std::pair<std::string, long>>
      tags;                         // of the training captions with their counts, most frequent first
  std::vector<std::string> labels;  // tags that the user or Civitai gave
  LoraType type;
  std::string user_notes;
  int rating = 0;               // 1 to 5; 0: none
  std::string creator, source;  // who made it, and the page that it came from
  std::int64_t civitai_model = 0, civitai_version = 0;
  std::filesystem::path preview;   // picture beside the file; "" none
  std::vector<std::string> notes;  // one sentence each: what could not be read
};

struct CardSources {
  std::string folder = {};  // below the LoRA folder; a hint at the type
  std::vector<std::filesystem::path> former =
      {};                              // paths of the file before it was renamed: their sidecars, when no
                                       // file of that name is there and the new name has none
  std::filesystem::path overlay = {};  // what the user wrote where the folder could not be written
  // Names in the file's folder; null: ask the disk
  const std::set<std::string, std::less<>>* listed = nullptr;
};

// `metadata` is the file's __metadata__.
LoraCard read_lora_card(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata,
                        const CardSources& sources = {});

// The activation text, else the first trigger words, else the most frequent tag of all captions: one line,
// may be "".
std::string short_trigger(const LoraCard& card);

// NAME.ENDING beside NAME.safetensors.
std::filesystem::path sidecar_path(const std::filesystem::path& model, const std::string& ending);

// Endings of pictures beside a file in the order in which A1111 looks for them: ".png", …, ".preview.gif".
const std::vector<std::string>& preview_endings();

// The words of an HTML text, paragraphs as lines.
std::string text_of_html(const std::string& html);

}  // namespace lowrank::library
