#include "training/data/dataset_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "base/files_below.h"
#include "base/text/text.h"
#include "base/text/text_file.h"
#include "image/codec/codec.h"
#include "training/data/captions.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::path> entries;
  for (auto it = fs::directory_iterator(folder, code); !code && it != fs::directory_iterator();
       it.increment(code))
    if (!is_system_name(it->path().filename().string())) entries.push_back(it->path());
  if (code) throw Error(kIo, "{}: the folder cannot be read: {}.", folder.string(), code.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

// What is learned for each picture of the folder, so it must be text.
void check_trigger(const std::string& trigger, const fs::path& folder) {
  decode_text(trigger, fmt::format("{}: the trigger words in the folder's name", folder.string()),
              {.remedy = "rename the folder"});
}

void check_folder(const fs::path& folder) {
  if (folder.empty())
    throw Error(kBadInput,
                "--train-data-dir is missing: give the folder that contains the N_TRIGGER folders.");
  if (!fs::is_directory(folder))
    throw Error(
        kNotFound,
        "{}: no such folder; --train-data-dir must be the folder that contains the N_TRIGGER folders.",
        folder.string());
}

// Pictures that stand in the folder itself, as other trainers keep them.
bool add_flat(const fs::path& folder, SubsetPlan subset, bool has_pictures, DatasetPlan& plan,
              std::vector<SubsetPlan>& subsets) {
  const fs::path list = folder / kCaptionListName;
  const bool has_list = fs::is_regular_file(list);
  if (!has_list && !has_pictures) return false;
  subset.folder = folder;
  const fs::path whole = fs::absolute(folder).lexically_normal();
  subset.name = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  if (has_list) subset.list = list;
  try {
    const FolderName name = parse_folder_name(fs::path(subset.name));
    subset.repeats = name.repeats;
    subset.trigger = name.trigger;
  } catch (const Error&) {
    plan.notes.push_back(
        fmt::format("{}: its own pictures are trained on, each once per epoch; in a folder N_TRIGGER inside "
                    "it, for example '10_my fox', each would be used N times.",
                    folder.string()));
  }
  subsets.push_back(std::move(subset));
  return true;
}

void add_folders(const fs::path& root, const SubsetPlan& defaults, DatasetPlan& plan,
                 std::vector<SubsetPlan>& subsets, request::FaultList& faults) {
  std::vector<fs::path> folders, loose;
  for (const fs::path& entry : sorted_entries(root)) {
    if (fs::is_directory(entry))
      folders.push_back(entry);
    else if (image::is_picture_name(entry))
      loose.push_back(entry);
  }
  const bool has_list = fs::is_regular_file(root / kCaptionListName);
  if ((folders.empty() || has_list) && add_flat(root, defaults, !loose.empty(), plan, subsets)) return;
  for (const fs::path& file : loose)
    faults.add(
        fmt::format("{}: pictures belong in a folder named N_TRIGGER inside {}, for example '10_my fox'.",
                    file.string(), root.string()));
  for (const fs::path& folder : folders)
    faults.add_from([&] {
      const FolderName name = parse_folder_name(folder);
      check_trigger(name.trigger, folder);
      SubsetPlan subset = defaults;
      subset.name = folder.filename().string();
      subset.folder = folder;
      subset.repeats = name.repeats;
      subset.trigger = name.trigger;
      subsets.push_back(std::move(subset));
    });
  if (folders.empty() && loose.empty())
    faults.add(fmt::format("{}: contains no folder N_TRIGGER with pictures, for example '10_my fox'.",
                           root.string()));
}

// Names are keys of the metadata and of the saved state.
void make_names_unique(DatasetPlan& plan) {
  std::set<std::string> taken;
  for (auto& set : plan.sets)
    for (auto& subset : set.subsets) {
      const std::string name = subset.name;
      for (int number = 2; !taken.insert(subset.name).second; ++number)
        subset.name = fmt::format("{} ({})", name, number);
    }
}

}  // namespace

FolderName parse_folder_name(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const auto bar = name.find('_');
  std::int64_t repeats = 0;
  const char* end = name.data() + (bar == std::string::npos ? 0 : bar);
  const auto [stop, code] = std::from_chars(name.data(), end, repeats);
  if (bar == std::string::npos || code != std::errc() || stop != end || repeats < 1 || repeats > 1'000'000) {
    throw Error(kBadInput,
                "{}: the folder's name must be N_TRIGGER, for example '10_{}': how often each picture is "
                "used per epoch, an underscore, the trigger words.",
                folder.string(), name);
  }
  return {repeats, std::string(trim(name.substr(bar + 1)))};
}

SubsetPlan subset_of(const DatasetOptions& options) {
  SubsetPlan subset;
  subset.caption_extension = options.caption_extension;
  subset.captions = options.captions;
  subset.flip_aug = options.flip_aug;
  subset.color_aug = options.color_aug;
  subset.random_crop = options.random_crop;
  subset.alpha_mask = options.alpha_mask;
  return subset;
}

DatasetPlan plan_dataset(const DatasetOptions& options, request::FaultList& faults) {
  DatasetPlan plan;
  faults.add_from([&] {
    if (!options.config.empty()) {
      if (!options.folder.empty() || !options.regularisation.empty())
        faults.add(fmt::format("--dataset-config {}: names the folders itself; leave {} out.",
                               options.config.string(),
                               options.folder.empty() ? "--reg-data-dir" : "--train-data-dir"));
      read_dataset_config(options, plan, faults);
      return;
    }
    check_folder(options.folder);
    SetPlan set{
        .buckets = options.buckets, .batch_size = options.batch_size, .validation_split = {}, .subsets = {}};
    SubsetPlan defaults = subset_of(options);
    add_folders(options.folder, defaults, plan, set.subsets, faults);
    if (!options.regularisation.empty()) {
      check_folder(options.regularisation);
      defaults.is_regularisation = true;
      add_folders(options.regularisation, defaults, plan, set.subsets, faults);
    }
    plan.sets.push_back(std::move(set));
  });
  for (const auto& set : plan.sets)
    if (set.batch_size < 1 || set.batch_size > 4096)
      faults.add(fmt::format("--train-batch-size {}: must be between 1 and 4096.", set.batch_size));
  make_names_unique(plan);
  return plan;
}

}  // namespace lowrank::training
