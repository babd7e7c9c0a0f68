#include "library/index/state_dir.h"

#include <unistd.h>

#include <cstdlib>
#include <span>
#include <string>

#include "base/sha256.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

fs::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == 0 ? fs::path() : fs::path(value);
}

// $XDG_…_HOME/lowrank, else ~/FALLBACK/lowrank.
fs::path own_folder(const char* variable, const char* fallback) {
  if (const fs::path named = from_environment(variable); named.is_absolute()) return named / "lowrank";
  const fs::path home = from_environment("HOME");
  return home.empty() ? fs::path() : home / fallback / "lowrank";
}

// Tells data folders apart, whatever way leads to them.
std::string key_of(const DataDir& data) {
  std::error_code failure;
  fs::path canonical = fs::canonical(data.root, failure);
  if (failure) canonical = fs::absolute(data.root, failure);
  const std::string text = canonical.string();
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))).substr(0, 16);
}

}  // namespace

fs::path index_file(const DataDir& data) {
  if (const fs::path named = from_environment("LOWRANK_INDEX"); !named.empty()) return named;
  const fs::path folder = own_folder("XDG_CACHE_HOME", ".cache");
  if (folder.empty()) return {};
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (::access(folder.c_str(), W_OK) != 0) return {};
  return folder / ("library-" + key_of(data) + ".sqlite");
}

fs::path overlay_folder(const DataDir& data) {
  const fs::path folder = own_folder("XDG_DATA_HOME", ".local/share");
  return folder.empty() ? folder : folder / ("data-" + key_of(data));
}

fs::path overlay_sidecar(const fs::path& overlay, const PlaceRow& place, const fs::path& relative) {
  if (overlay.empty()) return overlay;
  return overlay / place.name / relative.parent_path() / (relative.stem().string() + ".json");
}

fs::path server_state_folder(const DataDir& data) {
  const fs::path folder = own_folder("XDG_STATE_HOME", ".local/state");
  return folder.empty() ? data.root / "lowrank-server" : folder / ("server-" + key_of(data));
}

fs::path packed_folder() {
  const fs::path folder = own_folder("XDG_CACHE_HOME", ".cache");
  return folder.empty() ? folder : folder / "packed";
}

fs::path config_folder() {
  return own_folder("XDG_CONFIG_HOME", ".config");
}

}  // namespace lowrank::library
