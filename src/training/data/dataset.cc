#include "training/data/dataset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files_below.h"
#include "base/sha256.h"
#include "base/text_file.h"
#include "image/codec.h"
#include "prompt/text.h"
#include "training/data/picture_file.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

// Epoch order and steps draw from streams of their own.
constexpr std::uint64_t kEpochStream = 0xE90C5u;

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

// In the order in which they count.
constexpr const char* kCaptionEndings[] = {".txt", ".caption", ".TXT", ".CAPTION", ".Txt", ".Caption"};

bool is_caption_name(const fs::path& path) {
  return std::ranges::find(kCaptionEndings, path.extension().string()) != std::end(kCaptionEndings);
}

// What is learned for each picture of the folder, so it must be text.
void check_trigger(const Subset& subset, const fs::path& folder) {
  decode_text(subset.trigger, fmt::format("{}: the trigger words in the folder's name", folder.string()),
              {.remedy = "rename the folder"});
}

void check_folder(const fs::path& folder) {
  if (folder.empty())
    throw Error(kBadInput, "--train-data-dir is missing: name the folder that holds the N_TRIGGER folders.");
  if (!fs::is_directory(folder))
    throw Error(
        kNotFound,
        "{}: the folder does not exist; --train-data-dir names the folder that holds the N_TRIGGER folders.",
        folder.string());
}

std::string short_hash(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))).substr(0, 16);
}

template <typename T>
void shuffle(std::vector<T>& items, const at::Generator& generator) {
  if (items.size() < 2) return;
  const at::Tensor order =
      at::randperm(static_cast<std::int64_t>(items.size()), generator, at::TensorOptions(at::kLong));
  const auto* places = order.data_ptr<std::int64_t>();
  std::vector<T> shuffled;
  shuffled.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i)
    shuffled.push_back(std::move(items[static_cast<std::size_t>(places[i])]));
  items = std::move(shuffled);
}

}  // namespace

Subset parse_subset_name(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const auto bar = name.find('_');
  std::int64_t repeats = 0;
  const char* end = name.data() + (bar == std::string::npos ? 0 : bar);
  const auto [stop, code] = std::from_chars(name.data(), end, repeats);
  if (bar == std::string::npos || code != std::errc() || stop != end || repeats < 1 || repeats > 1'000'000) {
    throw Error(
        kBadInput,
        "{}: the folder's name must be N_TRIGGER, for example '10_{}': how often each picture is used per "
        "epoch, an underscore, the trigger words.",
        folder.string(), name);
  }
  return {name, repeats, std::string(prompt::trim(name.substr(bar + 1))), 0};
}

std::vector<fs::path> caption_files(const fs::path& picture) {
  std::vector<fs::path> files;
  std::error_code failure;
  // A link to nowhere or a folder is one too: reading it says so, where passing it over would learn other words.
  for (const char* ending : kCaptionEndings)
    if (fs::path path = fs::path(picture).replace_extension(ending);
        fs::exists(fs::symlink_status(path, failure)))
      files.push_back(std::move(path));
  return files;
}

std::optional<Caption> read_caption(const fs::path& picture, const std::string& encoding) {
  const auto files = caption_files(picture);
  if (files.empty()) return std::nullopt;
  const std::string text = read_text_file(
      files.front(), {.max_bytes = 1u << 20,
                      .encoding = encoding,
                      .remedy = "name its encoding with --caption-encoding (cp1252, cp932, …)"});
  const std::string_view all = prompt::trim(text);
  const auto end = all.find_first_of("\r\n");
  return Caption{std::string(prompt::trim(all.substr(0, end))), end != std::string_view::npos};
}

Dataset Dataset::open(const DatasetOptions& options) {
  check_folder(options.folder);
  if (options.batch_size < 1 || options.batch_size > 4096)
    throw Error(kBadInput, "--train-batch-size {}: must lie between 1 and 4096.", options.batch_size);
  const BucketChooser chooser(options.buckets);
  Dataset data;
  data.limits_ = chooser.limits();
  data.batch_size_ = options.batch_size;
  for (const fs::path& folder : sorted_entries(options.folder)) {
    if (!fs::is_directory(folder)) {
      if (image::is_picture_name(folder))
        throw Error(kBadInput,
                    "{}: pictures belong in a folder named N_TRIGGER inside {}, for example '10_my fox'.",
                    folder.string(), options.folder.string());
      continue;
    }
    Subset subset = parse_subset_name(folder);
    check_trigger(subset, folder);
    const std::size_t number = data.subsets_.size();
    std::set<fs::path> captions;
    std::map<fs::path, fs::path> stems;
    for (const fs::path& file : sorted_entries(folder)) {
      if (!image::is_picture_name(file)) {
        if (is_caption_name(file))
          captions.insert(fs::path(file).replace_extension());
        else
          data.notes_.push_back(fmt::format("{}: skipped, as it is not a picture ({}).", file.string(),
                                            image::picture_endings()));
        continue;
      }
      const auto [twin, is_first] = stems.emplace(fs::path(file).replace_extension(), file);
      if (!is_first)
        data.notes_.push_back(fmt::format("{} and {} share the same caption file.",
                                          twin->second.filename().string(), file.string()));
      const auto caption = read_caption(file, options.caption_encoding);
      if (const auto files = caption_files(file); files.size() > 1)
        data.notes_.push_back(fmt::format("{} is the caption, {} is ignored.", files[0].string(),
                                          files[1].filename().string()));
      if (caption && caption->has_more)
        data.notes_.push_back(fmt::format(
            "{}: only the first line of its caption is used, the rest is ignored.", file.string()));
      if (caption && caption->text.empty() && !subset.trigger.empty())
        data.notes_.push_back(
            fmt::format("{}: its caption file is empty, so it is trained without a caption.", file.string()));
      if (!caption && subset.trigger.empty())
        throw Error(kBadInput,
                    "{}: the picture has no caption file and its folder has no trigger words; write {}.",
                    file.string(), fs::path(file).replace_extension(".txt").filename().string());
      Example example{file,
                      number,
                      caption ? caption->text : subset.trigger,
                      picture_size(file),
                      {},
                      sha256_file_hex(file)};
      try {
        example.place = chooser.choose(example.size);
      } catch (const Error& error) {
        throw error.during(fmt::format("fitting {}", file.string()));
      }
      data.examples_.push_back(std::move(example));
      ++subset.pictures;
    }
    if (subset.pictures == 0)
      throw Error(kBadInput, "{}: the folder contains no pictures ({}); add some or remove it.",
                  folder.string(), image::picture_endings());
    for (const auto& stem : captions)
      if (!stems.contains(stem))
        data.notes_.push_back(fmt::format("{}.*: a caption file without a picture.", stem.string()));
    data.subsets_.push_back(std::move(subset));
  }
  if (data.examples_.empty())
    throw Error(kBadInput, "{}: contains no folder N_TRIGGER with pictures, for example '10_my fox'.",
                options.folder.string());

  std::map<PixelSize, std::vector<std::size_t>> buckets;
  for (std::size_t i = 0; i < data.examples_.size(); ++i) {
    auto& bucket = buckets[data.examples_[i].place.bucket];
    bucket.insert(bucket.end(), static_cast<std::size_t>(data.subsets_[data.examples_[i].subset].repeats), i);
  }
  for (auto& [size, members] : buckets) data.buckets_.push_back({size, std::move(members)});
  return data;
}

double Dataset::mean_aspect_error() const {
  double sum = 0;
  for (const auto& example : examples_) sum += std::abs(example.place.aspect_error);
  return sum / static_cast<double>(examples_.size());
}

std::int64_t Dataset::pictures_per_epoch() const {
  std::int64_t count = 0;
  for (const auto& bucket : buckets_) count += static_cast<std::int64_t>(bucket.examples.size());
  return count;
}

std::int64_t Dataset::batches_per_epoch() const {
  std::int64_t count = 0;
  for (const auto& bucket : buckets_)
    count += (static_cast<std::int64_t>(bucket.examples.size()) + batch_size_ - 1) / batch_size_;
  return count;
}

std::vector<ExampleBatch> Dataset::epoch(std::uint64_t seed, std::int64_t epoch) const {
  const at::Generator generator = step_generator(seed ^ kEpochStream, epoch);
  const auto size = static_cast<std::size_t>(batch_size_);
  std::vector<ExampleBatch> batches;
  for (const auto& bucket : buckets_) {
    ExampleBatch members = bucket.examples;
    shuffle(members, generator);
    for (std::size_t from = 0; from < members.size(); from += size) {
      const auto begin = members.begin() + static_cast<std::ptrdiff_t>(from);
      batches.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, members.size() - from)));
    }
  }
  shuffle(batches, generator);
  return batches;
}

std::string Dataset::trigger_phrase() const {
  std::string phrase;
  std::set<std::string> seen;
  for (const auto& subset : subsets_) {
    if (subset.trigger.empty() || !seen.insert(subset.trigger).second) continue;
    phrase += (phrase.empty() ? "" : ", ") + subset.trigger;
  }
  return phrase;
}

std::map<std::string, Dataset::Seen> Dataset::seen() const {
  std::map<std::string, Seen> all;
  for (const auto& e : examples_)
    all[prompt::well_formed(subsets_[e.subset].folder + "/" + e.picture.filename().string())] = {
        e.content, short_hash(e.caption),
        short_hash(fmt::format("{}x{} {}x{} {}x{}", e.size.width, e.size.height, e.place.resized.width,
                               e.place.resized.height, e.place.bucket.width, e.place.bucket.height))};
  return all;
}

std::string Dataset::fingerprint() const {
  std::string text;
  for (const auto& [name, seen] : seen())
    text += fmt::format("{}\x1f{}\x1f{}\x1f{}\n", name, seen.content, seen.caption, seen.place);
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

std::vector<std::string> caption_tags(const std::string& caption) {
  std::vector<std::string> tags;
  for (std::size_t from = 0; from <= caption.size();) {
    const std::size_t comma = std::min(caption.find(',', from), caption.size());
    const auto tag = prompt::trim(std::string_view(caption).substr(from, comma - from));
    if (!tag.empty()) tags.emplace_back(tag);
    from = comma + 1;
  }
  return tags;
}

std::string draw_caption(const std::string& caption, const CaptionOptions& options, at::Generator generator) {
  if (options.dropout_rate > 0 &&
      at::rand({1}, generator, at::TensorOptions(at::kDouble)).item<double>() < options.dropout_rate)
    return "";
  if (!options.shuffle) return caption;
  std::vector<std::string> tags = caption_tags(caption);
  const auto kept = std::min(static_cast<std::size_t>(std::max(0, options.keep_tokens)), tags.size());
  std::vector<std::string> loose(tags.begin() + static_cast<std::ptrdiff_t>(kept), tags.end());
  shuffle(loose, generator);
  std::move(loose.begin(), loose.end(), tags.begin() + static_cast<std::ptrdiff_t>(kept));
  return fmt::format("{}", fmt::join(tags, ", "));
}

}  // namespace lowrank::training
