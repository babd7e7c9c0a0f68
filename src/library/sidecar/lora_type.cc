#include "library/sidecar/lora_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text/ascii.h"
#include "base/text/name_words.h"

namespace lowrank::library {
namespace {

struct WordRow {
  std::string_view word, type;
};

// Words that mean a type wherever they stand alone: folders, tags of Civitai (its categories of LoRAs).
constexpr std::array kMeanings = {
    WordRow{"character", "character"}, WordRow{"characters", "character"},
    WordRow{"celebrity", "character"}, WordRow{"style", "style"},
    WordRow{"styles", "style"},        WordRow{"artstyle", "style"},
    WordRow{"concept", "concept"},     WordRow{"concepts", "concept"},
    WordRow{"background", "concept"},  WordRow{"backgrounds", "concept"},
    WordRow{"pose", "pose"},           WordRow{"poses", "pose"},
    WordRow{"action", "pose"},         WordRow{"clothing", "clothing"},
    WordRow{"clothes", "clothing"},    WordRow{"outfit", "clothing"},
    WordRow{"outfits", "clothing"},    WordRow{"object", "object"},
    WordRow{"objects", "object"},      WordRow{"vehicle", "object"},
    WordRow{"vehicles", "object"},     WordRow{"buildings", "object"},
};

// Words of names and trigger words that hint at a type.
constexpr std::array kNameHints = {
    WordRow{"style", "style"},    WordRow{"artstyle", "style"},   WordRow{"artist", "style"},
    WordRow{"pose", "pose"},      WordRow{"posing", "pose"},      WordRow{"outfit", "clothing"},
    WordRow{"dress", "clothing"}, WordRow{"uniform", "clothing"}, WordRow{"costume", "clothing"},
    WordRow{"armor", "clothing"}, WordRow{"concept", "concept"},  WordRow{"character", "character"},
    WordRow{"vehicle", "object"},
};

// Tags of taggers that stand on pictures of one person.
constexpr std::array<std::string_view, 4> kPersonTags = {"1girl", "1boy", "solo", "portrait"};

LoraType guess(std::string_view type, std::string reason) {
  return {std::string(type), "guess", std::move(reason)};
}

}  // namespace

std::span<const std::string_view> lora_types() {
  static constexpr std::array<std::string_view, 6> kTypes = {"character", "style",    "concept",
                                                             "pose",      "clothing", "object"};
  return kTypes;
}

std::string_view type_meant_by(std::string_view word) {
  const std::string wanted = lower_ascii(word);
  const auto found = std::ranges::find(kMeanings, wanted, &WordRow::word);
  return found == kMeanings.end() ? std::string_view() : found->type;
}

LoraType recognise_type(const TypeHints& hints) {
  if (const auto type = type_meant_by(hints.user); !type.empty()) return {std::string(type), "user", ""};
  for (const std::string& tag : hints.civitai_tags)
    if (const auto type = type_meant_by(tag); !type.empty()) return {std::string(type), "civitai", ""};
  for (const std::string& word : words_of(hints.folder))
    if (const auto type = type_meant_by(word); !type.empty())
      return guess(type, fmt::format("its folder is '{}'", hints.folder));
  for (const std::string& name : hints.names)
    for (const std::string& word : words_of(name))
      for (const WordRow& row : kNameHints)
        if (word == row.word) return guess(row.type, fmt::format("'{}' appears in '{}'", row.word, name));
  long most = 0;
  for (const auto& [tag, count] : hints.caption_tags) most = std::max(most, count);
  for (const auto& [tag, count] : hints.caption_tags) {
    // A tag on most pictures of the training: on fewer, it is only something that occurs in them.
    if (std::ranges::find(kPersonTags, tag) != kPersonTags.end() && count > most / 2)
      return guess("character", fmt::format("most training captions say '{}'", tag));
  }
  return {};
}

}  // namespace lowrank::library
