#include "server/catalog/dataset_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/text.h"
#include "formats/natural_order.h"
#include "image/codec/codec.h"
#include "library/import/file_name.h"
#include "server/catalog/model_catalog.h"
#include "server/http/refusal.h"
#include "training/data/picture_file.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

// One part of a path that names something inside its folder.
bool is_path_part(std::string_view part) {
  return !part.empty() && part.front() != '.' && part.find('/') == std::string_view::npos &&
         part.find('\0') == std::string_view::npos && part.size() < 256;
}

std::vector<fs::path> visible_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure))
    if (!it->path().filename().string().starts_with(".")) entries.push_back(it->path());
  std::ranges::sort(entries, [](const fs::path& a, const fs::path& b) {
    return formats::natural_less(a.filename().string(), b.filename().string());
  });
  return entries;
}

std::string folder_name(const std::string& trigger, std::int64_t repeats) {
  if (repeats < 1 || repeats > kMaxRepeats)
    refuse_field("repeats", fmt::format("must be between 1 and {}", kMaxRepeats));
  const std::string words(trim(trigger));
  const std::string name = fmt::format("{}_{}", repeats, words);
  if (words.empty() || library::safe_file_name(name) != name)
    refuse_field("trigger",
                 "must be a few words that are valid in a folder name: no / \\ : < > | ? * or quotes");
  return name;
}

bool is_stem_taken(const fs::path& picture) {
  return std::ranges::any_of(visible_entries(picture.parent_path()),
                             [&](const fs::path& entry) { return entry.stem() == picture.stem(); });
}

}  // namespace

std::vector<std::string> DatasetStore::names() const {
  std::vector<std::string> names;
  std::error_code failure;
  for (const fs::path& entry : visible_entries(root_))
    if (fs::is_directory(entry, failure) && is_below(entry, root_))
      names.push_back(entry.filename().string());
  return names;
}

fs::path DatasetStore::set_folder(const std::string& name) const {
  std::error_code failure;
  fs::path folder = root_ / name;
  if (!is_path_part(name) || !fs::is_directory(folder, failure) || !is_below(folder, root_))
    throw Refusal(404, "no dataset of this name in the folder train.");
  return folder;
}

TrainingSet DatasetStore::open(const std::string& name) {
  TrainingSet set{.name = name, .path = set_folder(name), .folders = {}, .pictures = {}, .faults = {}};
  std::error_code failure;
  for (const fs::path& entry : visible_entries(set.path)) {
    if (fs::is_directory(entry, failure)) {
      if (is_below(entry, root_)) add_folder(set, entry);
    } else if (image::is_picture_name(entry)) {
      set.faults.push_back(
          fmt::format("{} is not in a training folder; move it into a folder named N_TRIGGER.",
                      entry.filename().string()));
    }
  }
  if (set.folders.empty() && set.faults.empty())
    set.faults.push_back("There is no folder named N_TRIGGER yet, for example 10_my cat.");
  return set;
}

void DatasetStore::add_folder(TrainingSet& set, const fs::path& folder) {
  training::Subset subset;
  try {
    subset = training::parse_subset_name(folder);
  } catch (const Error& error) {
    set.faults.push_back(error.what());
    return;
  }
  for (const fs::path& file : visible_entries(folder)) {
    if (!image::is_picture_name(file) || !is_below(file, root_)) continue;
    const Known known = look_at(file);
    SetPicture picture{.file = subset.folder + "/" + file.filename().string(),
                       .folder = set.folders.size(),
                       .caption = {},
                       .size = known.size,
                       .bytes = known.bytes,
                       .time = known.time,
                       .fault = known.fault};
    try {
      if (const auto caption = training::read_caption(file)) picture.caption = caption->text;
    } catch (const Error& error) {
      picture.fault = error.what();
    }
    if (picture.fault.empty() && !picture.caption && subset.trigger.empty())
      picture.fault = "There is no caption, and the folder has no trigger words.";
    set.pictures.push_back(std::move(picture));
    ++subset.pictures;
  }
  if (subset.pictures == 0) set.faults.push_back(fmt::format("{} contains no pictures yet.", subset.folder));
  set.folders.push_back(std::move(subset));
}

// Pictures are decoded whole, as the trainer will; once for as long as they stay as they are.
DatasetStore::Known DatasetStore::look_at(const fs::path& picture) {
  std::error_code failure;
  Known now;
  now.bytes = fs::file_size(picture, failure);
  now.time = std::chrono::duration<double>(
                 std::chrono::file_clock::to_sys(fs::last_write_time(picture, failure)).time_since_epoch())
                 .count();
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(picture);
    if (found != known_.end() && found->second.bytes == now.bytes && found->second.time == now.time)
      return found->second;
  }
  try {
    now.size = training::picture_size(picture);
  } catch (const Error& error) {
    now.fault = error.what();
  }
  const std::lock_guard lock(mutex_);
  return known_[picture] = now;
}

fs::path DatasetStore::picture(const std::string& name, const std::string& file) const {
  const auto slash = file.find('/');
  const fs::path path = set_folder(name) / file;
  std::error_code failure;
  if (slash == std::string::npos || !is_path_part(file.substr(0, slash)) ||
      !is_path_part(file.substr(slash + 1)) || !image::is_picture_name(path) ||
      !fs::is_regular_file(path, failure) || !is_below(path, root_))
    throw Refusal(404, "no such picture in the dataset.");
  return path;
}

void DatasetStore::create(const std::string& name, const std::string& trigger, std::int64_t repeats) {
  if (name.empty() || library::safe_file_name(name, 100) != name)
    refuse_field("name", "must be a plain folder name: no / \\ : < > | ? * or quotes, no leading dot");
  const std::string folder = folder_name(trigger, repeats);
  const std::lock_guard lock(mutex_);
  std::error_code failure;
  if (fs::exists(root_ / name, failure))
    throw Refusal(409, fmt::format("a dataset named '{}' already exists.", name));
  fs::create_directories(root_ / name / folder, failure);
  if (failure)
    throw Error(kIo, "{} could not be created: {}.", (root_ / name / folder).string(), failure.message());
}

void DatasetStore::rename_folder(const std::string& name, const std::string& folder,
                                 const std::string& trigger, std::int64_t repeats) {
  const fs::path set = set_folder(name);
  const std::string renamed = folder_name(trigger, repeats);
  const std::lock_guard lock(mutex_);
  std::error_code failure;
  if (!is_path_part(folder) || !fs::is_directory(set / folder, failure) || !is_below(set / folder, root_))
    throw Refusal(404, "no such folder in the dataset.");
  if (renamed == folder) return;
  if (fs::exists(set / renamed, failure))
    throw Refusal(409, fmt::format("the dataset already has a folder '{}'.", renamed));
  fs::rename(set / folder, set / renamed, failure);
  if (failure) throw Error(kIo, "{} could not be renamed: {}.", (set / folder).string(), failure.message());
}

std::string DatasetStore::add_picture(const std::string& name, const std::string& folder,
                                      const std::string& file_name, std::string_view bytes) {
  const TrainingSet set = open(name);
  const auto place = std::ranges::find_if(
      set.folders, [&](const training::Subset& subset) { return folder.empty() || subset.folder == folder; });
  if (place == set.folders.end()) throw Refusal(404, "no such folder in the dataset.");
  const std::string asked = library::safe_file_name(file_name, 120);
  // The whole picture is decoded: what the trainer could not read is refused now.
  image::decode_picture(std::as_bytes(std::span(bytes)), asked.empty() ? "the picture" : asked);
  const std::string stem = asked.empty() ? "picture" : fs::path(asked).stem().string();
  const std::string ending = image::picture_ending(std::as_bytes(std::span(bytes)), stem);
  const fs::path parent = set.path / place->folder;
  const std::lock_guard lock(mutex_);
  fs::path target = parent / fmt::format("{}{}", stem, ending);
  for (int number = 2; is_stem_taken(target); ++number)
    target = parent / fmt::format("{}-{}{}", stem, number, ending);
  write_file(target, bytes);
  return place->folder + "/" + target.filename().string();
}

void DatasetStore::write_caption(const std::string& name, const std::string& file,
                                 const std::optional<std::string>& caption) {
  const fs::path path = picture(name, file);
  if (caption) {
    // The trainer reads one line.
    std::string line = *caption;
    std::ranges::replace_if(
        line, [](unsigned char c) { return c < 0x20; }, ' ');
    write_file(fs::path(path).replace_extension(".txt"), std::string(trim(line)) + "\n");
    return;
  }
  for (const fs::path& text : training::caption_files(path)) {
    std::error_code failure;
    fs::remove(text, failure);
    if (failure) throw Error(kIo, "the caption of {} could not be removed: {}.", file, failure.message());
  }
}

void DatasetStore::remove_picture(const std::string& name, const std::string& file) {
  const fs::path path = picture(name, file);
  std::error_code failure;
  fs::remove(path, failure);
  if (failure) throw Error(kIo, "{} could not be removed: {}.", path.string(), failure.message());
  const bool has_twin = std::ranges::any_of(visible_entries(path.parent_path()), [&](const fs::path& entry) {
    return entry.stem() == path.stem() && image::is_picture_name(entry);
  });
  if (has_twin) return;
  for (const fs::path& text : training::caption_files(path)) fs::remove(text, failure);
}

}  // namespace lowrank::server
