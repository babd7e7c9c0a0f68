// Kohya's dataset configuration. A key of a subset may also stand in its dataset or in [general], one of a dataset in
// [general]: the nearest one counts.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "training/data/config_file.h"
#include "training/data/dataset_plan.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Json = ordered_json;

// Thrown as the end of a sentence: "must be …".
[[noreturn]] void refuse(std::string_view why) {
  throw Error(kBadInput, "{}", why);
}

bool truth(const Json& value) {
  if (!value.is_boolean()) refuse("must be true or false");
  return value.get<bool>();
}

std::string text(const Json& value) {
  if (!value.is_string()) refuse("must be a text in quotes");
  return value.get<std::string>();
}

std::int64_t whole(const Json& value, std::int64_t min, std::int64_t max) {
  if (!value.is_number_integer() || value.get<std::int64_t>() < min || value.get<std::int64_t>() > max)
    refuse(fmt::format("must be a whole number between {} and {}", min, max));
  return value.get<std::int64_t>();
}

double share(const Json& value) {
  if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= 1))
    refuse("must be a number between 0 and 1");
  return value.get<double>();
}

constexpr std::int64_t kMost = 1'000'000;

PixelSize resolution(const Json& value) {
  const auto side = [](const Json& v) { return whole(v, 8, 16384); };
  if (!value.is_array()) return {side(value), side(value)};
  if (value.size() != 2) refuse("must be one side in pixels, or [width, height]");
  return {side(value[0]), side(value[1])};
}

struct SetRow {
  std::string_view key;
  void (*set)(SetPlan& plan, const Json& value);
  bool only_in_subsets = false;
};

constexpr SetRow kSetRows[] = {
    {"resolution", [](SetPlan& p, const Json& v) { p.buckets.resolution = resolution(v); }},
    {"batch_size", [](SetPlan& p, const Json& v) { p.batch_size = whole(v, 1, 4096); }},
    {"enable_bucket", [](SetPlan& p, const Json& v) { p.buckets.enable = truth(v); }},
    {"min_bucket_reso", [](SetPlan& p, const Json& v) { p.buckets.min_side = whole(v, 8, 65536); }},
    {"max_bucket_reso", [](SetPlan& p, const Json& v) { p.buckets.max_side = whole(v, 8, 65536); }},
    {"bucket_reso_steps", [](SetPlan& p, const Json& v) { p.buckets.step = whole(v, 8, 65536); }},
    {"bucket_no_upscale", [](SetPlan& p, const Json& v) { p.buckets.no_upscale = truth(v); }},
    {"validation_split", [](SetPlan& p, const Json& v) { p.validation_split = share(v); }},
};

struct SubsetRow {
  std::string_view key;
  void (*set)(SubsetPlan& plan, const Json& value);
  bool only_in_subsets = false;
};

constexpr SubsetRow kSubsetRows[] = {
    {"image_dir", [](SubsetPlan& p, const Json& v) { p.folder = text(v); }, true},
    {"metadata_file", [](SubsetPlan& p, const Json& v) { p.list = text(v); }, true},
    {"conditioning_data_dir", [](SubsetPlan& p, const Json& v) { p.masks = text(v); }, true},
    {"is_reg", [](SubsetPlan& p, const Json& v) { p.is_regularisation = truth(v); }, true},
    {"alpha_mask", [](SubsetPlan& p, const Json& v) { p.alpha_mask = truth(v); }},
    {"num_repeats", [](SubsetPlan& p, const Json& v) { p.repeats = whole(v, 1, kMost); }},
    {"class_tokens", [](SubsetPlan& p, const Json& v) { p.trigger = text(v); }},
    {"caption_extension",
     [](SubsetPlan& p, const Json& v) {
       p.caption_extension = text(v);
       if (p.caption_extension.empty() || p.caption_extension.front() != '.')
         refuse("must be an ending with its dot, such as .txt");
     }},
    {"shuffle_caption", [](SubsetPlan& p, const Json& v) { p.captions.shuffle = truth(v); }},
    {"caption_separator", [](SubsetPlan& p, const Json& v) { p.captions.separator = text(v); }},
    {"keep_tokens",
     [](SubsetPlan& p, const Json& v) { p.captions.keep_tokens = static_cast<int>(whole(v, 0, kMost)); }},
    {"keep_tokens_separator", [](SubsetPlan& p, const Json& v) { p.captions.keep_separator = text(v); }},
    {"secondary_separator", [](SubsetPlan& p, const Json& v) { p.captions.secondary_separator = text(v); }},
    {"enable_wildcard", [](SubsetPlan& p, const Json& v) { p.captions.wildcards = truth(v); }},
    {"caption_prefix", [](SubsetPlan& p, const Json& v) { p.captions.prefix = text(v); }},
    {"caption_suffix", [](SubsetPlan& p, const Json& v) { p.captions.suffix = text(v); }},
    {"caption_dropout_rate", [](SubsetPlan& p, const Json& v) { p.captions.dropout_rate = share(v); }},
    {"caption_dropout_every_n_epochs",
     [](SubsetPlan& p, const Json& v) { p.captions.dropout_every_n_epochs = whole(v, 0, kMost); }},
    {"caption_tag_dropout_rate",
     [](SubsetPlan& p, const Json& v) { p.captions.tag_dropout_rate = share(v); }},
    {"token_warmup_min",
     [](SubsetPlan& p, const Json& v) {
       p.captions.token_warmup_min = static_cast<int>(whole(v, 0, kMost));
     }},
    {"token_warmup_step",
     [](SubsetPlan& p, const Json& v) {
       if (!v.is_number() || !(v.get<double>() >= 0 && v.get<double>() <= 1e9))
         refuse("must be a number of steps, or below 1 a share of the run");
       p.captions.token_warmup_step = v.get<double>();
     }},
    {"flip_aug", [](SubsetPlan& p, const Json& v) { p.flip_aug = truth(v); }},
    {"color_aug", [](SubsetPlan& p, const Json& v) { p.color_aug = truth(v); }},
    {"random_crop", [](SubsetPlan& p, const Json& v) { p.random_crop = truth(v); }},
};

// Keys of kohya's that say nothing here, and that LowRank has no equal of.
struct OtherRow {
  std::string_view key;
  bool is_fault;
  std::string_view why;
};

constexpr OtherRow kOtherRows[] = {
    {"face_crop_aug_range", true,
     "needs a face detector, which LowRank has not; crop the pictures before, or use random_crop"},
    {"network_multiplier", true, "is not supported; use num_repeats to weigh pictures"},
    {"custom_attributes", false, "has no meaning for LoRAs of Stable Diffusion"},
    {"cache_info", false, "is not needed, as LowRank reads the pictures themselves"},
    {"debug_dataset", false, "has no effect; see lowrank train check"},
    {"resize_interpolation", false, "has no effect, as LowRank always resizes with Lanczos"},
    {"validation_seed", false, "has no effect; use --validation-seed"},
};

template <class Row, std::size_t count>
const Row* row_of(const Row (&rows)[count], std::string_view key) {
  const auto found = std::ranges::find(rows, key, &Row::key);
  return found == std::end(rows) ? nullptr : &*found;
}

enum class Level { kGeneral, kSet, kSubset };

// Applies tables of the file to plans, nearest last, and tells what is wrong with them once.
class ConfigReader {
 public:
  ConfigReader(const DatasetOptions& options, DatasetPlan& plan, request::FaultList& faults)
      : options_(options), plan_(plan), faults_(faults) {}

  void read() {
    const Json file = read_config_file(options_.config);
    if (!file.is_object()) {
      fault("", "", "must hold [general] and [[datasets]]");
      return;
    }
    for (const auto& [key, value] : file.items())
      if (key != "general" && key != "datasets") fault("", key, "is unknown; known are general and datasets");
    const Json general = file.value("general", Json::object());
    check(general, Level::kGeneral, "[general]");
    const Json sets = file.value("datasets", Json::array());
    if (!sets.is_array() || sets.empty()) fault("", "datasets", "must be one or more tables [[datasets]]");
    for (std::size_t i = 0; sets.is_array() && i < sets.size(); ++i)
      read_set(general, sets[i], fmt::format("dataset {}", i + 1));
  }

 private:
  void fault(const std::string& where, std::string_view key, std::string_view why) {
    faults_.add(fmt::format("{}: {}{}{}{} {}.", options_.config.string(), where, where.empty() ? "" : ": ",
                            key, key.empty() ? "it" : "", why));
  }

  // Whether the keys of a table belong there.
  void check(const Json& table, Level level, const std::string& where) {
    if (!table.is_object()) {
      fault(where, "", "must be a table");
      return;
    }
    for (const auto& [key, value] : table.items()) {
      const SubsetRow* subset = row_of(kSubsetRows, key);
      if (subset != nullptr && level != Level::kSubset && subset->only_in_subsets)
        fault(where, key, "belongs in [[datasets.subsets]]");
      if (subset != nullptr || (key == "subsets" && level == Level::kSet)) continue;
      const bool is_of_set = row_of(kSetRows, key) != nullptr;
      if (is_of_set && level == Level::kSubset) fault(where, key, "belongs in [[datasets]] or [general]");
      if (is_of_set) continue;
      const OtherRow* other = row_of(kOtherRows, key);
      if (other == nullptr)
        fault(where, key, "is unknown");
      else if (other->is_fault)
        fault(where, key, other->why);
      else
        plan_.notes.push_back(
            fmt::format("{}: {}: {} {}.", options_.config.string(), where, key, other->why));
    }
  }

  template <class Row, std::size_t count, class Plan>
  void apply(const Row (&rows)[count], const Json& table, Level level, const std::string& where, Plan& plan) {
    if (!table.is_object()) return;
    for (const Row& row : rows) {
      const auto found = table.find(row.key);
      if (found == table.end() || (row.only_in_subsets && level != Level::kSubset)) continue;
      try {
        row.set(plan, *found);
      } catch (const Error& error) {
        fault(where, row.key, fmt::format("is {}, but {}", found->dump(), error.what()));
      }
    }
  }

  void read_set(const Json& general, const Json& table, const std::string& where) {
    check(table, Level::kSet, where);
    if (!table.is_object()) return;
    SetPlan set{.buckets = options_.buckets,
                .batch_size = options_.batch_size,
                .validation_split = {},
                .subsets = {}};
    apply(kSetRows, general, Level::kGeneral, "[general]", set);
    apply(kSetRows, table, Level::kSet, where, set);
    SubsetPlan defaults = subset_of(options_);
    apply(kSubsetRows, general, Level::kGeneral, "[general]", defaults);
    apply(kSubsetRows, table, Level::kSet, where, defaults);
    const Json subsets = table.value("subsets", Json::array());
    if (!subsets.is_array() || subsets.empty())
      fault(where, "subsets", "must be one or more tables [[datasets.subsets]]");
    for (std::size_t i = 0; subsets.is_array() && i < subsets.size(); ++i)
      read_subset(defaults, subsets[i], fmt::format("{}, subset {}", where, i + 1), set);
    plan_.sets.push_back(std::move(set));
  }

  void read_subset(SubsetPlan subset, const Json& table, const std::string& where, SetPlan& set) {
    check(table, Level::kSubset, where);
    if (!table.is_object()) return;
    apply(kSubsetRows, table, Level::kSubset, where, subset);
    for (fs::path* path : {&subset.folder, &subset.list, &subset.masks}) place(*path);
    if (subset.folder.empty() && subset.list.empty()) {
      if (!table.contains("image_dir")) fault(where, "image_dir", "is missing");
      return;
    }
    bool is_there = need(where, "image_dir", subset.folder, &fs::is_directory, "folder");
    is_there &= need(where, "metadata_file", subset.list, &fs::is_regular_file, "file");
    is_there &= need(where, "conditioning_data_dir", subset.masks, &fs::is_directory, "folder");
    if (!is_there) return;
    if (!subset.masks.empty() && subset.alpha_mask)
      fault(where, "alpha_mask", "cannot be combined with conditioning_data_dir; one mask weighs the loss");
    if (subset.folder.empty()) subset.folder = subset.list.parent_path();
    const fs::path named = subset.folder.lexically_normal();
    subset.name = (named.has_filename() ? named : named.parent_path()).filename().string();
    set.subsets.push_back(std::move(subset));
  }

  bool need(const std::string& where, std::string_view key, const fs::path& path,
            bool (*is_there)(const fs::path&), std::string_view kind) {
    if (path.empty() || is_there(path)) return true;
    fault(where, key, fmt::format("is {}, but there is no such {}", path.string(), kind));
    return false;
  }

  // As kohya's, paths are relative to where the program runs; a file that came with its pictures means its own folder.
  void place(fs::path& path) {
    if (path.empty() || path.is_absolute() || fs::exists(path)) return;
    const fs::path beside = options_.config.parent_path() / path;
    if (!fs::exists(beside)) return;
    plan_.notes.push_back(
        fmt::format("{}: {} is taken relative to the file's own folder, as it is not in {}.",
                    options_.config.string(), path.string(), fs::current_path().string()));
    path = beside;
  }

  const DatasetOptions& options_;
  DatasetPlan& plan_;
  request::FaultList& faults_;
};

}  // namespace

void read_dataset_config(const DatasetOptions& options, DatasetPlan& plan, request::FaultList& faults) {
  if (!fs::is_regular_file(options.config))
    throw Error(kNotFound, "--dataset-config {}: no such file.", options.config.string());
  ConfigReader(options, plan, faults).read();
}

}  // namespace lowrank::training
