#include "library/model_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file_identity.h"
#include "base/files_below.h"
#include "base/text/text.h"
#include "formats/natural_order.h"
#include "library/data_dir.h"
#include "library/index/place_table.h"
#include "library/index/state_dir.h"
#include "library/near_names.h"
#include "weights/hash_memo.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

std::string without_extension(const std::string& relative) {
  return fs::path(relative).replace_extension().generic_string();
}

// "did you mean A or B?", or what there is to choose from.
std::string suggestion(const std::string& name, const std::vector<std::string>& known,
                       const fs::path& folder) {
  if (known.empty()) return fmt::format("{} contains none; put the file there.", folder.string());
  const auto near = near_names(name, known);
  if (near.empty()) return fmt::format("no similar name in {}.", folder.string());
  return fmt::format("did you mean {}?", fmt::join(near, " or "));
}

}  // namespace

std::vector<fs::path> files_of_kind(std::string_view kind, const DataDir& data) {
  std::vector<fs::path> files;
  for (const PlaceRow& place : place_table()) {
    if (place.kind != kind) continue;
    const fs::path folder = folder_of(place, data);
    if (folder.empty()) continue;
    check_readable(folder);
    std::vector<fs::path> found = files_below(folder, place.extensions);
    std::ranges::sort(found, [](const fs::path& a, const fs::path& b) {
      return formats::natural_less(a.native(), b.native());
    });
    for (fs::path& file : found)
      if (std::ranges::find(files, file) == files.end()) files.push_back(std::move(file));
  }
  return files;
}

std::string CheckpointNames::title() const {
  return sha256.empty() ? relative : fmt::format("{} [{}]", relative, short_hash());
}

bool CheckpointNames::is_called(std::string_view word) const {
  if (word.empty()) return false;
  return word == title() || word == model_name || word == relative || word == without_extension(relative) ||
         word == path.filename() || word == checkpoint_name(path) || word == short_hash() || word == sha256;
}

CheckpointNames checkpoint_names(const DataDir& data, const fs::path& checkpoint,
                                 const KnownHash& known_hash) {
  CheckpointNames names{.path = fs::absolute(checkpoint),
                        .relative = checkpoint_relative(data, checkpoint),
                        .model_name = {},
                        .sha256 = known_hash ? known_hash(checkpoint) : ""};
  names.model_name = without_extension(names.relative);
  std::ranges::replace(names.model_name, '/', '_');
  return names;
}

std::vector<CheckpointNames> checkpoints(const DataDir& data, const KnownHash& known_hash) {
  std::vector<CheckpointNames> all;
  for (const fs::path& file : all_checkpoints(data)) all.push_back(checkpoint_names(data, file, known_hash));
  return all;
}

std::optional<CheckpointNames> find_checkpoint(const DataDir& data, const std::string& name,
                                               const KnownHash& known_hash, Match match) {
  if (name.empty()) return std::nullopt;
  const auto all = checkpoints(data, known_hash);
  for (const auto& names : all)
    if (names.is_called(name)) return names;
  // "NAME [HASH]": the name counts, whatever the kind of the hash. A hash alone in brackets does not.
  if (const auto bracket = name.rfind(" ["); bracket != std::string::npos && name.ends_with(']'))
    for (const auto& names : all)
      if (names.is_called(name.substr(0, bracket))) return names;
  if (match == Match::kPart)
    for (const auto& names : all)
      if (lower(names.title()).find(lower(name)) != std::string::npos) return names;
  return std::nullopt;
}

fs::path resolve_checkpoint(const DataDir& data, const std::string& name, const KnownHash& known_hash) {
  std::error_code failure;
  if (!name.empty() && fs::exists(name, failure)) return name;
  if (const auto found = find_checkpoint(data, name, known_hash)) return found->path;
  std::vector<std::string> known;
  for (const fs::path& file : all_checkpoints(data)) known.push_back(checkpoint_name(file));
  throw Error(kNotFound, "no checkpoint named '{}': {}", name, suggestion(name, known, data.checkpoints()));
}

std::optional<fs::path> find_vae(const DataDir& data, const std::string& name) {
  for (const fs::path& file : files_of_kind("vae", data)) {
    if (file.stem() == name || file.filename() == name) return file;
    for (const fs::path& folder : folders_of_kind("vae", data)) {
      const std::string relative = file.lexically_relative(folder).generic_string();
      if (relative == name || without_extension(relative) == name) return file;
    }
  }
  return std::nullopt;
}

fs::path resolve_vae(const DataDir& data, const std::string& name) {
  if (const auto file = find_vae(data, name)) return *file;
  std::error_code failure;
  if (fs::exists(name, failure)) return name;
  std::vector<std::string> known;
  for (const fs::path& file : files_of_kind("vae", data)) known.push_back(file.stem().string());
  throw Error(kNotFound, "no VAE named '{}': {}", name, suggestion(name, known, data.vaes()));
}

std::optional<fs::path> vae_of(const DataDir& data, const fs::path& checkpoint) {
  std::vector<fs::path> candidates = files_of_kind("vae", data);
  const std::string stem = checkpoint.stem().string() + ".vae";
  for (const char* extension : {".safetensors", ".pt", ".ckpt"})
    candidates.push_back(checkpoint.parent_path() / (stem + extension));
  std::error_code failure;
  for (const fs::path& file : candidates)
    if (file.stem() == stem && fs::exists(file, failure)) return file;
  return std::nullopt;
}

KnownHash remembered_hashes() {
  return [known = weights::HashMemo(packed_folder() / "hashes.txt").all()](const fs::path& file) {
    const auto found = known.find(identity_of(file).text());
    return found == known.end() ? "" : found->second;
  };
}

}  // namespace lowrank::library
