// What a prompt or infotext needs from the collection: the LoRAs of its tags, the checkpoint and the
// embeddings that it names, each with the hash that it carries; and which of them are here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "library/library.h"
#include "prompt/infotext.h"

namespace lowrank::library {

struct NeededFile {
  std::string kind;  // of the library's place table: "lora", "checkpoint", "embedding"
  std::string name;  // as the text says it; may be "" when only a hash or id is given
  std::string hash;  // "" none
  std::int64_t civitai_version = 0;
};

// Each once, LoRAs first in the order of their tags. Read are `Lora hashes`, `TI hashes`, `Model`, `Model
// hash`, the `Hashes` of A1111's Civitai extension and the `Civitai resources` of civitai.com.
std::vector<NeededFile> needed_files(const prompt::Infotext& infotext);
std::vector<NeededFile> needed_files(const std::string& text);  // a prompt, or settings of any program

struct NeededAnswer {
  NeededFile needed;
  std::optional<Record> found = {};
  std::string how = {};  // "name", "hash", "former name", "Civitai version"
  // Of what is missing:
  std::optional<Record> lost = {};  // it was here once
  std::string import_source = {};   // what an import may be given: a page or a hash; "" nothing is known
};

// A hash decides before a name: equal names may mean different files.
NeededAnswer find_needed(const Library& library, const NeededFile& needed);

}  // namespace lowrank::library
