// Offspring of a family: models whose layers are the family's, but which learned so much anew that what was made for one draws
// differently on another (Pony, Illustrious), or that draw in a few steps (Lightning, Turbo). Keys and shapes cannot tell them, so
// that people's words do, and these can be wrong: a hint, never a gate.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/family.h"

namespace lowrank::formats {

struct SubfamilyRow {
  std::string_view name;  // as people write it: "Pony"
  BaseModel family;
  // As model sites call it, and as it stands in file names: lower case without blanks and signs. Words of a name joined may
  // make one: "ssd-1b".
  std::span<const std::string_view> site_names, words;
  std::string_view usual;  // how it is used: "1024 x 1024 …"; "" as its family
  bool is_method = false;  // of drawing in few steps: what was made for it acts on any other, and the reverse
};
std::span<const SubfamilyRow> subfamily_table();

// By its name or a site's, in whatever case and spacing; nullptr: none.
const SubfamilyRow* subfamily_named(std::string_view name);

// All names of the table, as a sentence lists them.
std::string subfamily_names();
// What a user may set: a name of the table, in its spelling, or "none" for one that is plainly its family's; nullopt: neither.
std::optional<std::string> subfamily_meant(std::string_view asked);

// Where a file's subfamily is looked for, the surest first.
struct SubfamilyHints {
  std::string user;  // what the user set; "none": that it has none, whatever else says
  std::string site;  // a page's "base model"
  std::vector<std::pair<std::string, std::string>>
      metadata;                    // field → what it says: {"ss_sd_model_name", "ponyDiffusionV6XL"}
  std::vector<std::string> names;  // of file, folder and title
  std::string_view architecture;   // the family's label as keys tell it; "" unknown
};

struct Subfamily {
  std::string name;    // of the table; "" nothing tells
  std::string origin;  // "user", "site", "metadata" or "name"
  std::string reason;  // "ss_sd_model_name is ponyDiffusionV6XL"
  // Its family, or that of its page, is another than that of the keys: "Pony is a kind of SDXL, but its layers are those of
  // SD 1.x"; "" they agree.
  std::string conflict;
};
// A name in conflict with the keys is passed over, as names mean many things; what somebody stated is told with its conflict.
Subfamily recognise_subfamily(const SubfamilyHints& hints);

// The metadata fields that name a model which a file was made from, in order: pairs for SubfamilyHints.
template <typename Metadata>
std::vector<std::pair<std::string, std::string>> subfamily_metadata(const Metadata& metadata) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const char* key : {"ss_base_model_version", "ss_sd_model_name", "modelspec.architecture",
                          "modelspec.title", "modelspec.merged_from"})
    if (const auto at = metadata.find(key); at != metadata.end() && at->second.size() < 4096)
      found.emplace_back(key, at->second);
  return found;
}

// "made for Pony; this checkpoint is Illustrious: it may look different"; "" where one is unknown or a method, or both are the
// same.
std::string subfamily_hint(std::string_view lora, std::string_view checkpoint);

}  // namespace lowrank::formats
