#include "library/data_dir.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "formats/checkpoint.h"

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

fs::path find_root(const std::string& asked) {
  if (!asked.empty()) {
    if (!is_folder(asked))
      throw Error(kNotFound, "--data-dir {}: there is no such folder; name the one that holds models/.",
                  asked);
    return asked;
  }
  if (const char* named = std::getenv("LOWRANK_DATA_DIR"); named != nullptr && *named != 0) {
    if (!is_folder(named))
      throw Error(kNotFound, "LOWRANK_DATA_DIR is {}, but there is no such folder.", named);
    return named;
  }
  if (is_folder("models")) return ".";
  const fs::path tree = source_tree();
  return tree.empty() ? fs::path(".") : tree;
}

}  // namespace

fs::path DataDir::starter_checkpoint() const {
  const fs::path file = starter / "starter.safetensors";
  return !starter.empty() && is_file(file) ? file : fs::path();
}

fs::path DataDir::starter_loras() const {
  const fs::path folder = starter / "lora";
  return !starter.empty() && is_folder(folder) ? folder : fs::path();
}

fs::path find_starter() {
  const fs::path here = program_folder();
  for (const fs::path& folder : {here / "../../../models/starter", here / "../share/lowrank/models/starter",
                                 here / "../../share/lowrank/models/starter"})
    if (is_folder(folder)) return folder.lexically_normal();
  return {};
}

DataDir find_data_dir(const std::string& asked) {
  return {.root = find_root(asked), .starter = find_starter()};
}

void check_readable(const fs::path& folder) {
  std::error_code failure;
  if (!fs::exists(fs::symlink_status(folder, failure))) return;
  if (!fs::exists(folder, failure))
    throw Error(kIo, "{}: is a link that leads nowhere ({}); is its drive there?", folder.string(),
                failure ? failure.message() : "no such folder");
  if (!fs::is_directory(folder, failure))
    throw Error(kIo, "{}: is no folder; move it away.", folder.string());
  fs::directory_iterator(folder, failure);
  if (failure)
    throw Error(kIo, "{}: the folder cannot be read ({}); mend its permissions.", folder.string(),
                failure.message());
}

namespace {

std::vector<fs::path> own_checkpoints(const DataDir& data) {
  check_readable(data.checkpoints());
  return is_folder(data.checkpoints()) ? formats::find_checkpoints(data.checkpoints())
                                       : std::vector<fs::path>();
}

}  // namespace

std::vector<fs::path> all_checkpoints(const DataDir& data) {
  std::vector<fs::path> files = own_checkpoints(data);
  if (const fs::path starter = data.starter_checkpoint(); !starter.empty()) files.push_back(starter);
  return files;
}

fs::path default_checkpoint(const DataDir& data) {
  std::vector<fs::path> files = own_checkpoints(data);
  std::error_code failure;
  std::ranges::stable_sort(files, std::ranges::greater(),
                           [&](const fs::path& file) { return fs::last_write_time(file, failure); });
  for (const fs::path& file : files)
    if (is_usable(file)) return file;
  const fs::path starter = data.starter_checkpoint();
  // Where nothing is usable its newest says why.
  return starter.empty() && !files.empty() ? files.front() : starter;
}

std::string checkpoint_name(const fs::path& checkpoint) {
  std::error_code failure;
  return fs::is_directory(checkpoint, failure) ? checkpoint.filename().string() : checkpoint.stem().string();
}

}  // namespace lowrank::library
