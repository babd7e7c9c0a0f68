#include "library/lora_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/ascii.h"
#include "formats/natural_order.h"
#include "library/data_dir.h"
#include "library/index/walk.h"
#include "library/near_names.h"
#include "weights/safetensors_header.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::map<std::string, std::string> safetensors_metadata(const fs::path& path) {
  try {
    const auto header = weights::read_header_text(path);
    return header ? weights::read_safetensors_metadata(header->text) : std::map<std::string, std::string>();
  } catch (const Error&) {
    return {};
  }
}

std::string prompt_alias(const fs::path& path, const std::map<std::string, std::string>& metadata) {
  if (const auto alias = metadata.find("ss_output_name"); alias != metadata.end() && !alias->second.empty())
    return alias->second;
  const std::string name = path.stem().string();
  for (const std::string_view common : {"pytorch_lora_weights", "adapter_model"}) {
    if (name != common) continue;
    const fs::path folder = path.parent_path().filename();
    // PEFT keeps one adapter per component in folders of these names.
    return (folder == "unet" || folder == "text_encoder" ? path.parent_path().parent_path().filename()
                                                         : folder)
        .string();
  }
  return name;
}

LoraFolder::LoraFolder(std::vector<LoraLocation> places) : files_(std::move(places)), forbidden_{"none"} {
  for (std::size_t index = 0; index < files_.size(); ++index) {
    const LoraLocation& place = files_[index];
    if (by_alias_.contains(place.alias)) forbidden_.insert(lower_ascii(place.alias));
    by_name_[place.name] = index;
    by_alias_[place.name] = index;
    by_alias_[place.alias] = index;
  }
}

LoraFolder LoraFolder::scan(const std::vector<fs::path>& folders) {
  std::vector<LoraLocation> places;
  std::vector<fs::path> scanned;
  for (const fs::path& folder : folders) {
    if (folder.empty()) continue;
    scanned.push_back(folder);
    std::vector<fs::path> files;
    walk(
        place_named("lora"), folder,
        [&](Listing&& listing) {
          for (const ListedFile& file : listing.models)
            files.push_back(folder / listing.relative / file.name);
        },
        [](const WalkProblem&) {});
    std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
      return formats::natural_less(a.string(), b.string());
    });
    for (const fs::path& file : files) {
      const bool has_metadata = lower_ascii(file.extension().string()) == ".safetensors";
      places.push_back({.path = file,
                        .name = file.stem().string(),
                        .alias = prompt_alias(file, has_metadata ? safetensors_metadata(file)
                                                                 : std::map<std::string, std::string>()),
                        .relative = file.lexically_relative(folder).replace_extension().generic_string()});
    }
  }
  LoraFolder result(std::move(places));
  result.folders_ = std::move(scanned);
  return result;
}

LoraFolder LoraFolder::scan(const DataDir& data) {
  std::vector<fs::path> folders;
  for (const PlaceRow& place : place_table())
    if (place.kind == "lora") folders.push_back(folder_of(place, data));
  return scan(folders);
}

std::optional<fs::path> LoraFolder::find(std::string_view name) const {
  const auto& table = is_forbidden(name) ? by_name_ : by_alias_;
  if (const auto found = table.find(name); found != table.end()) return files_[found->second].path;
  for (auto place = files_.rbegin(); place != files_.rend(); ++place)
    if (place->relative == name || place->relative + place->path.extension().string() == name)
      return place->path;
  return std::nullopt;
}

fs::path LoraFolder::resolve(std::string_view name) const {
  if (const auto path = find(name)) return *path;
  std::vector<std::string> known;
  for (const auto& place : files_) {
    known.push_back(place.name);
    if (place.alias != place.name) known.push_back(place.alias);
  }
  const auto near = near_names(name, known);
  const std::string folder =
      folders_.empty() ? "models/Lora" : folders_[folders_.size() > 1 ? 1 : 0].string();
  if (!near.empty())
    throw Error(kNotFound, "no LoRA named '{}' in {}: did you mean {}?", name, folder,
                fmt::join(near, " or "));
  if (files_.empty())
    throw Error(kNotFound, "no LoRA named '{}': {} contains none; put the file there.", name, folder);
  throw Error(kNotFound, "no LoRA named '{}' in {}; 'lowrank lora list' shows what is there.", name, folder);
}

std::vector<std::string> LoraFolder::duplicates() const {
  std::map<std::string, int> counts;
  for (const auto& place : files_) ++counts[place.name];
  std::vector<std::string> names;
  for (const auto& [name, count] : counts)
    if (count > 1) names.push_back(name);
  return names;
}

bool LoraFolder::is_forbidden(std::string_view alias) const {
  return forbidden_.contains(lower_ascii(alias));
}

}  // namespace lowrank::library
