// Settings out of pictures and texts that other programs made: each program keeps them in places and words of its
// own. A new one is a reader in a file here and a row of the table in generators.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prompt/infotext.h"

namespace lowrank::prompt {

// What a picture says in words: PNG texts by their keyword, EXIF fields by their name ("UserComment", "Make"),
// XMP under "XML:com.adobe.xmp", a JPEG comment under "comment".
struct PictureTexts {
  std::vector<std::pair<std::string, std::string>> texts = {};
  int width = 0, height = 0;  // of the picture; 0 unknown

  const std::string* find(std::string_view key) const;  // the first of the key; nullptr when absent
};

struct PictureSettings {
  std::string generator = {};           // "A1111", "ComfyUI" …; A1111 stands for all that write its text
  Infotext infotext = {};               // in A1111's labels; LoRAs are tags of the prompt
  std::string text = {};                // the same as A1111's text
  std::vector<std::string> notes = {};  // what was left out, guessed or means something else here
  bool is_understood = true;  // false: JSON of no known program; nothing was read, the last note says so
};

struct GeneratorRow {
  std::string_view name;
  // nullopt: not from this program.
  std::optional<PictureSettings> (*read)(const PictureTexts& picture);
};

// In the order in which they are asked; the first that answers counts.
std::span<const GeneratorRow> generator_table();

// nullopt when the picture says nothing that is understood.
std::optional<PictureSettings> settings_of_picture(const PictureTexts& picture);

// A text that stands for itself: A1111's, or another program's JSON. Any text has a reading.
PictureSettings settings_of_text(std::string_view text);

// The name of a LoRA of which a text gives Civitai's version alone: `civitai-VERSION`. The collection finds it by that.
std::string civitai_name(std::int64_t version);
std::optional<std::int64_t> civitai_version_of(std::string_view name);  // nullopt: it is no such name

// The JSON that the entry `Civitai resources` holds and the tags do not: a LoRA of a version is a tag of its model's
// name, or else of civitai_name().
struct CivitaiResource {
  std::string kind;  // "lora", "checkpoint", "embedding"
  std::string name;
  std::string weight = "1";
  std::int64_t version = 0;
};
std::vector<CivitaiResource> civitai_resources(const Infotext& infotext);

}  // namespace lowrank::prompt
