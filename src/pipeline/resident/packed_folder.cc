#include "pipeline/resident/packed_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text/utf8.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPackedEnding = ".packed";

struct KeptFile {
  fs::file_time_type used;
  fs::path path;
  std::int64_t bytes;
};

// "KEY-MODEL.packed", and of an older version "KEY.packed".
std::string packed_model(const fs::path& file) {
  const std::string stem = file.stem().string();
  const std::size_t dash = stem.find('-');
  return dash == std::string::npos ? "a model of an older version" : stem.substr(dash + 1);
}

// A file's name may have 255 bytes.
std::string file_part(std::string_view model) {
  return mended_utf8(model.substr(0, 120));
}

double gigabytes(std::int64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

}  // namespace

PackedFolder::PackedFolder(fs::path folder, std::optional<std::int64_t> limit)
    : folder_(std::move(folder)), limit_(limit) {}

void PackedFolder::begin_model(std::string_view name) {
  model_ = name;
  // The system's times of files lag a little.
  begun_ = fs::file_time_type::clock::now() - std::chrono::milliseconds(20);
}

fs::path PackedFolder::path_of(const std::string& key) const {
  std::error_code failure;
  for (fs::directory_iterator it(folder_, failure), end; !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(key) && name.ends_with(kPackedEnding)) return it->path();
  }
  return folder_ / fmt::format("{}-{}{}", key, file_part(model_), kPackedEnding);
}

void PackedFolder::touch(const fs::path& file) const {
  std::error_code ignored;
  fs::last_write_time(file, fs::file_time_type::clock::now(), ignored);
}

std::int64_t PackedFolder::limit_now(std::int64_t held) const {
  if (limit_) return *limit_;
  std::error_code failure;
  const auto disk = fs::space(folder_, failure);
  return failure ? 0 : (static_cast<std::int64_t>(disk.available) + held) / 2;
}

bool PackedFolder::make_room(std::int64_t wanted) {
  std::vector<KeptFile> kept;
  std::int64_t all = wanted, of_this_model = wanted;
  std::error_code failure;
  fs::create_directories(folder_, failure);
  for (fs::directory_iterator it(folder_, failure), end; !failure && it != end; it.increment(failure)) {
    std::error_code ignored;
    const auto used = it->last_write_time(ignored);
    const auto bytes = static_cast<std::int64_t>(it->file_size(ignored));
    if (ignored) continue;
    const std::string name = it->path().filename().string();
    const bool is_part = name.find(".part") != std::string::npos;
    if (!is_part && !name.ends_with(kPackedEnding)) continue;
    if (is_part && fs::file_time_type::clock::now() - used > std::chrono::hours(24)) {
      fs::remove(it->path(), ignored);
      continue;
    }
    all += bytes;
    if (is_part || used >= begun_)
      of_this_model += bytes;
    else
      kept.push_back({used, it->path(), bytes});
  }
  limit_then_ = limit_now(all - wanted);
  if (of_this_model > limit_then_) {
    too_large_[model_] += wanted;
    return false;
  }
  std::ranges::sort(kept, {}, &KeptFile::used);
  for (const KeptFile& file : kept) {
    if (all <= limit_then_) break;
    std::error_code ignored;
    if (fs::remove(file.path, ignored)) dropped_[packed_model(file.path)] += file.bytes;
    all -= file.bytes;
  }
  return true;
}

void PackedFolder::note_unwritable(std::int64_t bytes) {
  unwritable_[model_] += bytes;
}

std::vector<std::string> PackedFolder::take_notes() {
  const auto limit = [&] {
    return fmt::format("may hold {:.1f} GB{}", gigabytes(limit_then_),
                       limit_ ? "" : ", half of what its disk has free");
  };
  constexpr std::string_view kRemedy = "LOWRANK_PACKED_CACHE_GB sets another limit";
  std::vector<std::string> notes;
  for (const auto& [model, bytes] : std::exchange(dropped_, {}))
    notes.push_back(fmt::format(
        "the packed weights of {} ({:.1f} GB), unused for longest, were dropped from the cache in "
        "{}, which {}; its next start packs them again; {}.",
        model, gigabytes(bytes), folder_.string(), limit(), kRemedy));
  for (const auto& [model, bytes] : std::exchange(too_large_, {}))
    notes.push_back(
        fmt::format("{:.1f} GB of packed weights of {} are not kept, because the cache in {} {}: every start "
                    "packs them again; {}.",
                    gigabytes(bytes), model, folder_.string(), limit(), kRemedy));
  for (const auto& [model, bytes] : std::exchange(unwritable_, {}))
    notes.push_back(fmt::format(
        "{:.1f} GB of packed weights of {} are not kept, because {} cannot be written or its disk "
        "is full: every start packs them again; XDG_CACHE_HOME names another place.",
        gigabytes(bytes), model, folder_.string()));
  return notes;
}

}  // namespace lowrank::pipeline
