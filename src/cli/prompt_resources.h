// What a prompt or infotext needs from the collection: the LoRAs of its tags, the checkpoint and the
// embeddings that it names, each with the hash that it carries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lowrank::cli {

struct NeededFile {
  std::string kind;  // of the library's place table: "lora", "checkpoint", "embedding"
  std::string name;  // as the text says it; may be "" when only a hash or id is given
  std::string hash;  // "" none
  std::int64_t civitai_version = 0;
};

// Each once, LoRAs first in the order of their tags. Read are `Lora hashes`, `TI hashes`, `Model`, `Model
// hash`, the `Hashes` of A1111's Civitai extension and the `Civitai resources` of civitai.com.
std::vector<NeededFile> needed_files(const std::string& infotext);

// The settings text of a picture, of a text file, or the text itself when it names no file. Throws Error for
// a picture without settings.
std::string infotext_of(const std::string& file_or_text);

}  // namespace lowrank::cli
