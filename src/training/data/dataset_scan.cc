#include "training/data/dataset_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files_below.h"
#include "base/sha256.h"
#include "base/text/ascii.h"
#include "image/codec/codec.h"
#include "training/data/captions.h"
#include "training/data/picture_file.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

// OneTrainer's names for a picture's mask and for the picture that conditions it, before the ending.
constexpr std::string_view kMaskEnding = "-masklabel", kConditionEnding = "-condlabel";
// Lists that others write and that are not read.
constexpr std::string_view kOtherLists[] = {"metadata.csv", "metadata.parquet"};

std::vector<fs::path> sorted_files(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::path> files;
  for (auto it = fs::directory_iterator(folder, code); !code && it != fs::directory_iterator();
       it.increment(code))
    if (!is_system_name(it->path().filename().string())) files.push_back(it->path());
  if (code) throw Error(kIo, "{}: the folder cannot be read: {}.", folder.string(), code.message());
  std::sort(files.begin(), files.end());
  return files;
}

bool is_label(const fs::path& picture) {
  const std::string stem = picture.stem().string();
  return stem.ends_with(kMaskEnding) || stem.ends_with(kConditionEnding);
}

fs::path stem_of(const fs::path& file) {
  return fs::path(file).replace_extension();
}

// The pictures of one subset, each with its own caption where it has one.
struct Found {
  fs::path picture;
  std::optional<Caption> caption;
};

class SubsetScan {
 public:
  SubsetScan(const DatasetOptions& options, const BucketChooser& chooser, DatasetScan& scan,
             request::FaultList& faults)
      : options_(options), chooser_(chooser), scan_(scan), faults_(faults) {}

  void run(SubsetPlan plan, std::size_t set) {
    Subset subset{plan.name, plan.repeats, plan.trigger, 0, set, std::move(plan)};
    std::vector<Found> found;
    faults_.add_from([&] { found = subset.plan.list.empty() ? in_folder(subset) : in_list(subset); });
    faults_.add_from([&] { find_masks(subset.plan); });
    const bool is_empty = found.empty();
    for (const Found& one : found) faults_.add_from([&] { add(one, subset); });
    if (is_empty && can_be_read_)
      faults_.add(
          fmt::format("{}: the {} contains no pictures ({}); add some or remove it.",
                      subset.plan.list.empty() ? subset.plan.folder.string() : subset.plan.list.string(),
                      subset.plan.list.empty() ? "folder" : "list", image::picture_endings()));
    scan_.subsets.push_back(std::move(subset));
  }

 private:
  void note(std::string text) { scan_.notes.push_back(std::move(text)); }

  std::vector<Found> in_list(const Subset& subset) {
    std::vector<Found> found;
    std::set<fs::path> listed;
    can_be_read_ = false;
    for (auto& [picture, caption] :
         read_caption_list(subset.plan.list, subset.plan.folder, subset.plan.captions, faults_)) {
      can_be_read_ = true;
      if (!listed.insert(picture.lexically_normal()).second) {
        faults_.add(fmt::format("{}: lists {} more than once.", subset.plan.list.string(), picture.string()));
        continue;
      }
      std::optional<Caption> own;
      if (caption)
        own = caption_of(*caption);
      else
        faults_.add_from(
            [&] { own = read_caption(picture, options_.caption_encoding, subset.plan.caption_extension); });
      found.push_back({picture, std::move(own)});
    }
    std::int64_t left_out = 0;
    for (const fs::path& file : sorted_files(subset.plan.folder))
      if (image::is_picture_name(file) && !is_label(file) && !listed.contains(file.lexically_normal()))
        ++left_out;
    if (left_out > 0)
      note(fmt::format("{}: {} of {} {} left out, as the list does not name {}.", subset.plan.list.string(),
                       left_out == 1 ? "1 picture" : fmt::format("{} pictures", left_out),
                       subset.plan.folder.string(), left_out == 1 ? "is" : "are",
                       left_out == 1 ? "it" : "them"));
    return found;
  }

  // Captions of a list that lies in the folder, by picture.
  std::map<fs::path, std::string> listed_captions(const Subset& subset) {
    std::map<fs::path, std::string> captions;
    const fs::path list = subset.plan.folder / kCaptionListName;
    if (!fs::is_regular_file(list)) return captions;
    for (auto& [picture, caption] :
         read_caption_list(list, subset.plan.folder, subset.plan.captions, faults_))
      if (caption) captions.emplace(picture.lexically_normal(), std::move(*caption));
    return captions;
  }

  std::vector<Found> in_folder(const Subset& subset) {
    std::vector<Found> found;
    const std::string& ending = subset.plan.caption_extension;
    const auto listed = listed_captions(subset);
    std::set<fs::path> captions;
    std::map<fs::path, fs::path> stems;
    for (const fs::path& file : sorted_files(subset.plan.folder)) {
      if (!image::is_picture_name(file)) {
        note_other_file(file, ending, captions);
        continue;
      }
      if (is_label(file)) {
        if (!options_.masked_loss && file.stem().string().ends_with(kMaskEnding))
          note(fmt::format("{}: not used, as it is a mask; --masked-loss uses it.", file.string()));
        continue;
      }
      const auto [twin, is_first] = stems.emplace(stem_of(file), file);
      if (!is_first)
        note(fmt::format("{} and {} share the same caption file.", twin->second.filename().string(),
                         file.string()));
      if (const auto files = caption_files(file, ending); files.size() > 1)
        note(fmt::format("{} is the caption, {} is ignored.", files[0].string(),
                         files[1].filename().string()));
      Found one{file, {}};
      can_be_read_ = true;
      faults_.add_from([&] { one.caption = read_caption(file, options_.caption_encoding, ending); });
      const auto in_list = listed.find(file.lexically_normal());
      if (in_list != listed.end() && one.caption && one.caption->lines != caption_of(in_list->second).lines)
        note(fmt::format("{}: its caption file counts, not the other caption in {}.", file.string(),
                         kCaptionListName));
      if (in_list != listed.end() && !one.caption) one.caption = caption_of(in_list->second);
      found.push_back(std::move(one));
    }
    for (const auto& stem : captions)
      if (!stems.contains(stem)) note(fmt::format("{}.*: a caption file without a picture.", stem.string()));
    return found;
  }

  void note_other_file(const fs::path& file, const std::string& ending, std::set<fs::path>& captions) {
    const std::string name = file.filename().string();
    if (is_caption_name(file, ending))
      captions.insert(stem_of(file));
    else if (std::ranges::find(kOtherLists, name) != std::end(kOtherLists))
      note(fmt::format("{}: not read; write the captions to {}, or to a text file beside each picture.",
                       file.string(), kCaptionListName));
    else if (name != kCaptionListName && !fs::is_directory(file))
      note(fmt::format("{}: skipped, as it is not a picture ({}).", file.string(), image::picture_endings()));
    else if (name != kCaptionListName)
      note(fmt::format("{}: skipped, as pictures in folders inside a folder of pictures are not used.",
                       file.string()));
  }

  // Masks of a folder by the stem of their names.
  void find_masks(const SubsetPlan& plan) {
    masks_.clear();
    if (plan.masks.empty()) return;
    for (const fs::path& file : sorted_files(plan.masks))
      if (image::is_picture_name(file)) masks_.emplace(file.stem().string(), file);
  }

  fs::path mask_of(const fs::path& picture, const SubsetPlan& plan) {
    if (!plan.masks.empty()) {
      const auto found = masks_.find(picture.stem().string());
      if (found != masks_.end()) return found->second;
      throw Error(kBadInput, "{}: has no mask of its name in {}; add one, white where it is to be learned.",
                  picture.string(), plan.masks.string());
    }
    if (!options_.masked_loss) return {};
    const fs::path beside = stem_of(picture).concat(std::string(kMaskEnding) + ".png");
    return fs::is_regular_file(beside) ? beside : fs::path();
  }

  // A mask is fitted as its picture is, so it must have its shape.
  void check_mask(const Example& example) {
    const PixelSize size = picture_size(example.mask);
    const auto across = size.width * example.size.height, down = size.height * example.size.width;
    if (std::abs(across - down) >
        std::max({size.width, size.height, example.size.width, example.size.height}))
      throw Error(kBadInput, "{}: the mask is {}x{}, but its picture {} is {}x{}; both must have one shape.",
                  example.mask.string(), size.width, size.height, example.picture.filename().string(),
                  example.size.width, example.size.height);
  }

  std::string learned(const Found& found, const Subset& subset) {
    const auto& [file, caption] = found;
    if (caption && caption->has_more && !subset.plan.captions.wildcards)
      note(
          fmt::format("{}: only the first line of its caption is used, the rest is ignored.", file.string()));
    if (caption && caption->text.empty() && !subset.trigger.empty())
      note(fmt::format("{}: its caption file is empty, so it is trained without a caption.", file.string()));
    if (caption) return subset.plan.captions.wildcards ? caption->lines : caption->text;
    if (subset.trigger.empty())
      faults_.add(fmt::format(
          "{}: the picture has no caption file and its folder has no trigger words; write {}.", file.string(),
          fs::path(file)
              .replace_extension(subset.plan.caption_extension.empty() ? ".txt"
                                                                       : subset.plan.caption_extension)
              .filename()
              .string()));
    return subset.trigger;
  }

  void add(const Found& found, Subset& subset) {
    Example example{
        found.picture, scan_.subsets.size(), learned(found, subset), picture_size(found.picture), {}};
    example.content = sha256_file_hex(found.picture);
    example.repeats = subset.repeats;
    example.mask = mask_of(found.picture, subset.plan);
    if (!example.mask.empty()) {
      check_mask(example);
      example.mask_content = sha256_file_hex(example.mask);
    }
    try {
      example.place = chooser_.choose(example.size);
    } catch (const Error& error) {
      throw error.during(fmt::format("fitting {}", found.picture.string()));
    }
    scan_.examples.push_back(std::move(example));
    ++subset.pictures;
  }

  const DatasetOptions& options_;
  const BucketChooser& chooser_;
  DatasetScan& scan_;
  request::FaultList& faults_;
  std::map<std::string, fs::path> masks_;
  bool can_be_read_ = true;
};

// As often as it takes for an epoch to show as many regularisation pictures as others; those that are too many are not
// shown. Source: kohya sd-scripts, DreamBoothDataset.
void balance_regularisation(DatasetScan& scan, std::size_t set) {
  const auto is_of = [&](const Example& e) { return scan.subsets[e.subset].set == set; };
  const auto is_regularisation = [&](const Example& e) {
    return scan.subsets[e.subset].plan.is_regularisation;
  };
  std::int64_t wanted = 0;
  std::vector<Example*> pictures;
  for (Example& e : scan.examples) {
    if (!is_of(e)) continue;
    if (is_regularisation(e))
      pictures.push_back(&e);
    else
      wanted += e.repeats;
  }
  if (pictures.empty()) return;
  std::int64_t shown = 0;
  std::size_t unused = 0;
  for (Example* e : pictures) {
    if (shown >= wanted) {
      e->repeats = 0;
      ++unused;
    }
    shown += e->repeats;
  }
  for (std::size_t i = 0; shown < wanted; i = (i + 1) % pictures.size(), ++shown) ++pictures[i]->repeats;
  if (unused > 0)
    scan.notes.push_back(
        fmt::format("{} of the {} regularisation pictures are not used, as an epoch shows {} other pictures.",
                    unused, pictures.size(), wanted));
}

}  // namespace

DatasetScan scan_dataset(const DatasetOptions& options, DatasetPlan plan, request::FaultList& faults) {
  DatasetScan scan;
  scan.notes = std::move(plan.notes);
  for (std::size_t i = 0; i < plan.sets.size(); ++i)
    faults.add_from([&] {
      const BucketChooser chooser(plan.sets[i].buckets);
      for (SubsetPlan& subset : plan.sets[i].subsets)
        SubsetScan(options, chooser, scan, faults).run(std::move(subset), i);
      balance_regularisation(scan, i);
    });
  if (options.masked_loss && !options.alpha_mask && !scan.examples.empty() &&
      std::ranges::all_of(scan.examples, [&](const Example& e) {
        return e.mask.empty() && !scan.subsets[e.subset].plan.alpha_mask;
      }))
    faults.add(
        "--masked-loss: no picture has a mask; name a folder of them as conditioning_data_dir in "
        "--dataset-config, lay NAME-masklabel.png beside NAME.png, or use --alpha-mask.");
  return scan;
}

}  // namespace lowrank::training
