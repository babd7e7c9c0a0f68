#include "library/needed_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "prompt/generators/civitai_resources.h"
#include "prompt/generators/generators.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

class Needs {
 public:
  std::vector<NeededFile> list;

  NeededFile& add(std::string_view kind, const std::string& name) {
    for (NeededFile& file : list)
      if (file.kind == kind && !name.empty() && file.name == name) return file;
    list.push_back({.kind = std::string(kind), .name = name, .hash = {}, .civitai_version = 0});
    return list.back();
  }
};

void add_tags(Needs& needs, const std::string& text) {
  for (const auto& tag : prompt::parse_extra_networks(text).loras) needs.add("lora", tag.name);
}

void add_hashes(Needs& needs, const prompt::Infotext& infotext, const char* key, std::string_view kind) {
  if (const std::string* list = infotext.find(key))
    for (auto& [name, hash] : prompt::parse_hash_list(*list)) needs.add(kind, name).hash = hash;
}

// {"model": "d56b…", "lora:fox": "0123…", "embed:bad": "…"}
void add_extension_hashes(Needs& needs, const json& hashes) {
  if (!hashes.is_object()) return;
  for (const auto& [key, value] : hashes.items()) {
    if (!value.is_string()) continue;
    const auto colon = key.find(':');
    const std::string prefix = key.substr(0, colon),
                      name = colon == std::string::npos ? "" : key.substr(colon + 1);
    if (prefix == "lora" || prefix == "lyco") {
      NeededFile& file = needs.add("lora", name);
      if (file.hash.empty()) file.hash = value.get<std::string>();
    } else if (prefix == "embed") {
      NeededFile& file = needs.add("embedding", name);
      if (file.hash.empty()) file.hash = value.get<std::string>();
    }
  }
}

// LoRAs of these are tags too, by the same names.
void add_civitai_resources(Needs& needs, const prompt::Infotext& infotext) {
  for (const auto& resource : prompt::civitai_resources(infotext))
    needs.add(resource.kind, resource.name).civitai_version = resource.version;
}

std::optional<Record> find_other(const Library& library, const NeededFile& needed) {
  for (const Record& record : library.find({.kind = needed.kind}))
    if (record.name == needed.name) return record;
  return std::nullopt;
}

std::string doubt(const Record& record) {
  return record.sha256.empty() ? ", its hash is not known yet" : ", but its hash differs";
}

void say_where(const Library& library, NeededAnswer& answer) {
  const NeededFile& needed = answer.needed;
  for (Record& lost : library.gone())
    if (lost.name == needed.name || (!needed.hash.empty() && lost.addnet.starts_with(needed.hash))) {
      answer.import_source = lost.source;
      answer.lost = std::move(lost);
      break;
    }
  if (needed.civitai_version != 0)
    answer.import_source = fmt::format("https://civitai.com/model-versions/{}", needed.civitai_version);
  else if (!needed.hash.empty() && answer.import_source.empty())
    answer.import_source = needed.hash;
}

}  // namespace

std::vector<NeededFile> needed_files(const std::string& text) {
  return needed_files(prompt::settings_of_text(text).infotext);
}

std::vector<NeededFile> needed_files(const prompt::Infotext& infotext) {
  Needs needs;
  add_tags(needs, infotext.prompt);
  if (const std::string* hires = infotext.find("Hires prompt")) add_tags(needs, *hires);
  add_hashes(needs, infotext, "Lora hashes", "lora");
  add_hashes(needs, infotext, "TI hashes", "embedding");
  if (const std::string* hashes = infotext.find("Hashes"))
    add_extension_hashes(needs, json::parse(*hashes, nullptr, false));
  add_civitai_resources(needs, infotext);
  const std::string *model = infotext.find("Model"), *hash = infotext.find("Model hash");
  if (model != nullptr || hash != nullptr) {
    NeededFile& file = needs.add("checkpoint", model == nullptr ? "" : *model);
    if (hash != nullptr) file.hash = *hash;
  }
  return std::move(needs.list);
}

NeededAnswer find_needed(const Library& library, const NeededFile& needed) {
  NeededAnswer answer{.needed = needed};
  if (auto record = library.find_hash(needed.hash, needed.kind)) {
    answer.how = record->name == needed.name || record->alias == needed.name ? "name" : "hash";
    answer.found = std::move(record);
  } else if (auto version = library.find_civitai_version(needed.civitai_version)) {
    answer.how = "Civitai version";
    answer.found = std::move(version);
  } else if (needed.kind == "lora") {
    if (auto lora = library.find_lora(needed.name)) {
      answer.how = lora->how;
      answer.found = std::move(lora->record);
    }
  } else if (auto other = find_other(library, needed)) {
    answer.how = "name";
    answer.found = std::move(other);
  }
  // The text's hash met no known one, so the name is all there is.
  const bool is_by_name = answer.found && answer.how != "hash" && answer.how != "Civitai version";
  if (is_by_name && !needed.hash.empty() && !library.find_hash(needed.hash, needed.kind))
    answer.how += doubt(*answer.found);
  if (!answer.found) say_where(library, answer);
  return answer;
}

}  // namespace lowrank::library
