#include "library/data_dir.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/text/ascii.h"
#include "formats/checkpoint/checkpoint.h"
#include "library/index/place_table.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

// The folder of the executable, or of the shared library that holds this code.
fs::path program_folder() {
  std::error_code failure;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&program_folder), &info) != 0 && info.dli_fname != nullptr &&
      std::string_view(info.dli_fname).find(".so") != std::string_view::npos) {
    const fs::path library = fs::canonical(info.dli_fname, failure);
    if (!failure) return library.parent_path();
  }
  const fs::path program = fs::canonical("/proc/self/exe", failure);
  return failure ? fs::path() : program.parent_path();
}

// build/PRESET/bin lies three steps below the source tree.
fs::path source_tree() {
  const fs::path root = (program_folder() / ".." / ".." / "..").lexically_normal();
  std::error_code failure;
  return fs::exists(root / "cmake" / "rooms.cmake", failure) ? root : fs::path();
}

bool is_folder(const fs::path& path) {
  std::error_code failure;
  return fs::is_directory(path, failure);
}

bool is_file(const fs::path& path) {
  std::error_code failure;
  return fs::is_regular_file(path, failure);
}

bool is_usable(const fs::path& checkpoint) {
  try {
    formats::open_checkpoint(checkpoint);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The folder ROOT/PATH as it is written on disk: exactly so, else with other capitals. Empty: there is none.
fs::path on_disk(const fs::path& root, const fs::path& path) {
  if (is_folder(root / path)) return root / path;
  fs::path found = root;
  for (const fs::path& part : path) {
    fs::path next = is_folder(found / part) ? found / part : fs::path();
    std::error_code failure;
    for (fs::directory_iterator it(found, failure), end; next.empty() && !failure && it != end;
         it.increment(failure))
      if (lower_ascii(it->path().filename().string()) == lower_ascii(part.string()) && is_folder(it->path()))
        next = it->path();
    if (next.empty()) return {};
    found = next;
  }
  return found;
}

// The data folder of those who name none; empty without a home.
fs::path home_root() {
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == 0 ? fs::path() : fs::path(home) / "lowrank";
}

fs::path find_root(const std::string& asked) {
  if (!asked.empty()) {
    if (!is_folder(asked) && asked != home_root())
      throw Error(kNotFound, "--data-dir {}: no such folder; give the one that contains models/.", asked);
    return asked;
  }
  if (const char* named = std::getenv("LOWRANK_DATA_DIR"); named != nullptr && *named != 0) {
    if (!is_folder(named))
      throw Error(kNotFound, "LOWRANK_DATA_DIR is {}, but no such folder exists.", named);
    return named;
  }
  if (!on_disk(".", "models").empty()) return ".";
  if (const fs::path tree = source_tree(); !tree.empty()) return tree;
  const fs::path home = home_root();
  return home.empty() ? fs::path(".") : home;
}

// Main places first: of two names of one folder theirs stays.
std::map<std::string, fs::path, std::less<>> places_elsewhere(const fs::path& root) {
  std::map<std::string, fs::path, std::less<>> elsewhere;
  std::vector<fs::path> known;
  std::error_code failure;
  for (const bool is_main : {true, false})
    for (const PlaceRow& place : place_table()) {
      if (place.is_starter || place.is_main != is_main) continue;
      const fs::path folder = on_disk(root, place.folder);
      if (folder.empty()) continue;
      const bool is_known = std::ranges::any_of(
          known, [&](const fs::path& other) { return fs::equivalent(folder, other, failure); });
      if (is_known || folder != root / place.folder)
        elsewhere.emplace(place.folder, is_known ? fs::path() : folder);
      known.push_back(folder);
    }
  return elsewhere;
}

}  // namespace

fs::path DataDir::folder(std::string_view default_folder) const {
  const auto found = elsewhere.find(default_folder);
  return found == elsewhere.end() ? root / default_folder : found->second;
}

fs::path DataDir::checkpoints() const {
  return main_folder("checkpoint", *this);
}

fs::path DataDir::loras() const {
  return main_folder("lora", *this);
}

fs::path DataDir::vaes() const {
  return main_folder("vae", *this);
}

fs::path DataDir::embeddings() const {
  return main_folder("embedding", *this);
}

std::vector<fs::path> DataDir::upscalers() const {
  std::vector<fs::path> folders;
  for (const std::string_view name : {"esrgan", "realesrgan", "upscale-models"})
    folders.push_back(folder_of(place_named(name), *this));
  return folders;
}

fs::path DataDir::starter_checkpoint() const {
  const fs::path file = starter / "starter.safetensors";
  return !starter.empty() && is_file(file) ? file : fs::path();
}

fs::path DataDir::starter_loras() const {
  const fs::path folder = starter / "lora";
  return !starter.empty() && is_folder(folder) ? folder : fs::path();
}

fs::path find_starter() {
  if (const fs::path tree = source_tree(); !tree.empty() && is_folder(tree / "models" / "starter"))
    return tree / "models" / "starter";
  const fs::path here = program_folder();
  // Beside bin/ for the program, beside lib/lowrank/ for the engine.
  for (const fs::path& folder :
       {here / "../share/lowrank/models/starter", here / "../../share/lowrank/models/starter"})
    if (is_folder(folder)) return folder.lexically_normal();
  return {};
}

DataDir find_data_dir(const std::string& asked) {
  DataDir data{.root = find_root(asked), .starter = find_starter()};
  data.elsewhere = places_elsewhere(data.root);
  return data;
}

void check_readable(const fs::path& folder) {
  std::error_code failure;
  if (!fs::exists(fs::symlink_status(folder, failure))) return;
  if (!fs::exists(folder, failure))
    throw Error(kIo, "{}: is a broken link ({}); is its drive connected?", folder.string(),
                failure ? failure.message() : "no such folder");
  if (!fs::is_directory(folder, failure))
    throw Error(kIo, "{}: is not a folder; move it away.", folder.string());
  fs::directory_iterator(folder, failure);
  if (failure)
    throw Error(kIo, "{}: the folder cannot be read ({}); fix its permissions.", folder.string(),
                failure.message());
}

std::vector<fs::path> own_checkpoints(const DataDir& data) {
  for (const PlaceRow& place : place_table())
    if (place.kind == "checkpoint" && !place.is_starter) check_readable(folder_of(place, data));
  std::vector<fs::path> files;
  for (const fs::path& folder : folders_of_kind("checkpoint", data))
    for (fs::path& file : formats::find_checkpoints(folder)) files.push_back(std::move(file));
  return files;
}

std::vector<fs::path> all_checkpoints(const DataDir& data) {
  std::vector<fs::path> files = own_checkpoints(data);
  if (const fs::path starter = data.starter_checkpoint(); !starter.empty()) files.push_back(starter);
  return files;
}

std::vector<fs::path> newest_checkpoints(const DataDir& data) {
  std::vector<fs::path> files = own_checkpoints(data);
  std::error_code failure;
  std::ranges::stable_sort(files, std::ranges::greater(),
                           [&](const fs::path& file) { return fs::last_write_time(file, failure); });
  return files;
}

fs::path default_checkpoint(const DataDir& data) {
  const std::vector<fs::path> files = newest_checkpoints(data);
  for (const fs::path& file : files)
    if (is_usable(file)) return file;
  const fs::path starter = data.starter_checkpoint();
  // Where nothing is usable its newest says why.
  return starter.empty() && !files.empty() ? files.front() : starter;
}

std::string checkpoint_relative(const DataDir& data, const fs::path& checkpoint) {
  for (const fs::path& folder : folders_of_kind("checkpoint", data)) {
    const fs::path below = checkpoint.lexically_relative(folder);
    if (!below.empty() && *below.begin() != "..") return below.generic_string();
  }
  return checkpoint.filename().string();
}

std::vector<fs::path> model_folders(const DataDir& data) {
  std::vector<fs::path> folders;
  for (const std::string_view kind : {"checkpoint", "lora", "vae", "embedding"})
    for (fs::path& folder : folders_of_kind(kind, data)) folders.push_back(std::move(folder));
  for (const fs::path& folder : {data.starter_loras(), data.starter_checkpoint().parent_path()})
    if (!folder.empty()) folders.push_back(folder);
  return folders;
}

std::string checkpoint_name(const fs::path& checkpoint) {
  std::error_code failure;
  return fs::is_directory(checkpoint, failure) ? checkpoint.filename().string() : checkpoint.stem().string();
}

std::filesystem::path folder_of(const PlaceRow& place, const DataDir& data) {
  if (!place.is_starter) return data.folder(place.folder);
  return data.starter.empty() ? data.starter : data.starter / place.folder;
}

std::filesystem::path main_folder(std::string_view kind, const DataDir& data) {
  if (const auto there = folders_of_kind(kind, data); !there.empty()) return there.front();
  for (const PlaceRow& place : place_table())
    if (place.kind == kind && place.is_main) return folder_of(place, data);
  throw Error(kBadInput,
              "unknown kind of model '{}'; it must be lora, checkpoint, vae, embedding or upscaler.", kind);
}

std::vector<std::filesystem::path> folders_of_kind(std::string_view kind, const DataDir& data) {
  std::vector<std::filesystem::path> folders;
  std::error_code failure;
  for (const PlaceRow& place : place_table()) {
    if (place.kind != kind || place.is_starter) continue;
    const std::filesystem::path folder = folder_of(place, data);
    if (folder.empty() || !std::filesystem::is_directory(folder, failure)) continue;
    folders.insert(place.is_main ? folders.begin() : folders.end(), folder);
  }
  return folders;
}

}  // namespace lowrank::library
