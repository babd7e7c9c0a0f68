// What a LoRA is for: a character, a style, a concept, a pose, clothing or an object. Said by its user, else
// told by Civitai's tags, else guessed; a guess says that it is one and on what it rests.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank::library {

std::span<const std::string_view>
lora_types();  // "character", "style", "concept", "pose", "clothing", "object"

// The type that a word means: itself, its plural, Civitai's tag for it. "" for any other word.
std::string_view type_meant_by(std::string_view word);

struct LoraType {
  std::string name;    // one of lora_types(), or "": nothing tells
  std::string origin;  // "user", "civitai" or "guess"
  std::string reason;  // of a guess: "its folder is called 'styles'"
};

struct TypeHints {
  std::string user;                                        // as the user's sidecar says
  std::vector<std::string> civitai_tags;                   // of the model's page
  std::string folder;                                      // below the LoRA folder
  std::vector<std::string> names;                          // file name, title, trigger words
  std::vector<std::pair<std::string, long>> caption_tags;  // most frequent first
};
LoraType recognise_type(const TypeHints& hints);

}  // namespace lowrank::library
