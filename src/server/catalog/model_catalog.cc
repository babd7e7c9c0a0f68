#include "server/catalog/model_catalog.h"

#include <algorithm>

#include "request/names.h"

namespace lowrank::server {
namespace fs = std::filesystem;

bool is_below(const fs::path& path, const fs::path& folder) {
  std::error_code failure;
  const fs::path real = fs::weakly_canonical(path, failure);
  if (failure) return false;
  const fs::path real_folder = fs::weakly_canonical(folder, failure);
  if (failure || folder.empty()) return false;
  const fs::path relative = real.lexically_relative(real_folder);
  return !relative.empty() && *relative.begin() != ".." && !relative.is_absolute();
}

ModelCatalog::ModelCatalog(library::DataDir data, HashCache& hashes)
    : data_(std::move(data)), hashes_(hashes) {}

library::KnownHash ModelCatalog::known_hash() {
  return [this](const fs::path& file) { return hashes_.sha256(file).value_or(""); };
}

std::vector<CheckpointEntry> ModelCatalog::checkpoints() {
  return library::checkpoints(data_, known_hash());
}

std::optional<CheckpointEntry> ModelCatalog::find_checkpoint(const std::string& name, Match match) {
  return library::find_checkpoint(data_, name, known_hash(), match);
}

std::optional<CheckpointEntry> ModelCatalog::default_checkpoint() {
  const fs::path path = library::default_checkpoint(data_);
  if (path.empty()) return std::nullopt;
  return library::checkpoint_names(data_, path, known_hash());
}

std::vector<fs::path> ModelCatalog::vaes() const {
  return library::files_of_kind("vae", data_);
}

std::vector<fs::path> ModelCatalog::upscaler_files() const {
  return library::files_of_kind("upscaler", data_);
}

std::vector<std::string> ModelCatalog::upscaler_names() const {
  const auto plain = request::plain_upscaler_names();
  std::vector<std::string> names(plain.begin(), plain.end());
  for (const auto& file : upscaler_files()) names.push_back(file.stem().string());
  return names;
}

std::optional<fs::path> ModelCatalog::find_vae(const std::string& name) const {
  return library::find_vae(data_, name);
}

bool ModelCatalog::is_inside_data(const fs::path& path) const {
  return std::ranges::any_of(library::model_folders(data_),
                             [&](const fs::path& folder) { return is_below(path, folder); });
}

}  // namespace lowrank::server
