#include "server/catalog/catalog.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files_below.h"
#include "base/text/text.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> weight_files(const fs::path& folder) {
  return files_below(folder, {".safetensors", ".ckpt", ".pt", ".pth"});
}

}  // namespace

bool is_below(const fs::path& path, const fs::path& folder) {
  std::error_code failure;
  const fs::path real = fs::weakly_canonical(path, failure);
  if (failure) return false;
  const fs::path real_folder = fs::weakly_canonical(folder, failure);
  if (failure || folder.empty()) return false;
  const fs::path relative = real.lexically_relative(real_folder);
  return !relative.empty() && *relative.begin() != ".." && !relative.is_absolute();
}

std::string CheckpointEntry::title() const {
  return sha256.empty() ? relative : fmt::format("{} [{}]", relative, short_hash());
}

Catalog::Catalog(library::DataDir data, HashCache& hashes) : data_(std::move(data)), hashes_(hashes) {}

CheckpointEntry Catalog::entry(const fs::path& path) {
  CheckpointEntry entry{.path = fs::absolute(path), .relative = "", .model_name = "", .sha256 = ""};
  entry.relative = library::checkpoint_relative(data_, path);
  entry.model_name = fs::path(entry.relative).replace_extension().generic_string();
  std::ranges::replace(entry.model_name, '/', '_');
  entry.sha256 = hashes_.sha256(path).value_or("");
  return entry;
}

std::vector<CheckpointEntry> Catalog::checkpoints() {
  std::vector<CheckpointEntry> entries;
  for (const fs::path& path : library::all_checkpoints(data_)) entries.push_back(entry(path));
  return entries;
}

std::optional<CheckpointEntry> Catalog::find_checkpoint(const std::string& name, Match match) {
  if (name.empty()) return std::nullopt;
  const auto all = checkpoints();
  const auto is_called = [&](const CheckpointEntry& entry, const std::string& word) {
    return word == entry.title() || word == entry.model_name || word == entry.relative ||
           word == entry.path.filename() || word == entry.path.stem() ||
           (word == entry.short_hash() && !word.empty()) || (word == entry.sha256 && !word.empty());
  };
  for (const auto& entry : all)
    if (is_called(entry, name)) return entry;
  // "NAME [HASH]": the name counts, whatever the kind of the hash. A hash alone in brackets does not.
  if (const auto bracket = name.rfind(" ["); bracket != std::string::npos && name.ends_with(']'))
    for (const auto& entry : all)
      if (is_called(entry, name.substr(0, bracket))) return entry;
  if (match == Match::kPart)
    for (const auto& entry : all)
      if (lower(entry.title()).find(lower(name)) != std::string::npos) return entry;
  return std::nullopt;
}

std::optional<CheckpointEntry> Catalog::default_checkpoint() {
  const fs::path path = library::default_checkpoint(data_);
  if (path.empty()) return std::nullopt;
  return entry(path);
}

std::vector<fs::path> Catalog::vaes() const {
  return weight_files(data_.vaes());
}

std::vector<fs::path> Catalog::upscaler_files() const {
  std::vector<fs::path> files;
  for (const fs::path& folder : data_.upscalers())
    for (auto& file : weight_files(folder)) files.push_back(std::move(file));
  return files;
}

std::vector<std::string> Catalog::upscaler_names() const {
  std::vector<std::string> names = {"None", "Lanczos", "Nearest"};
  for (const auto& file : upscaler_files()) names.push_back(file.stem().string());
  return names;
}

std::optional<fs::path> Catalog::find_vae(const std::string& name) const {
  for (const fs::path& file : vaes())
    if (file.filename() == name || file.stem() == name) return file;
  return std::nullopt;
}

bool Catalog::is_inside_data(const fs::path& path) const {
  return std::ranges::any_of(library::model_folders(data_),
                             [&](const fs::path& folder) { return is_below(path, folder); });
}

}  // namespace lowrank::server
