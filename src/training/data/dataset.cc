#include "training/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text/text.h"
#include "training/data/dataset_scan.h"
#include "training/data/shuffled.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

// Epoch order and steps draw from streams of their own.
constexpr std::uint64_t kEpochStream = 0xE90C5u;

std::string short_hash(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))).substr(0, 16);
}

// What a configuration's file makes of a picture beside its caption and place.
std::string treatment(const SubsetPlan& plan, std::int64_t repeats) {
  const CaptionOptions& c = plan.captions;
  return fmt::format("{} {} {} {} {} {}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", repeats,
                     plan.is_regularisation, plan.flip_aug, plan.color_aug, plan.random_crop, plan.alpha_mask,
                     c.prefix, c.suffix, c.dropout_rate, c.dropout_every_n_epochs, c.wildcards, c.shuffle,
                     c.separator, c.keep_tokens, c.keep_separator, c.tag_dropout_rate, c.token_warmup_min,
                     c.token_warmup_step, c.secondary_separator);
}

}  // namespace

Subset parse_subset_name(const fs::path& folder) {
  FolderName name = parse_folder_name(folder);
  Subset subset;
  subset.folder = folder.filename().string();
  subset.repeats = name.repeats;
  subset.trigger = std::move(name.trigger);
  return subset;
}

Dataset Dataset::look_at(const DatasetOptions& options, request::FaultList& faults) {
  Dataset data;
  DatasetPlan plan = plan_dataset(options, faults);
  data.is_configured_ = !options.config.empty();
  for (const SetPlan& set : plan.sets) {
    ExampleSet own{.buckets = set.buckets, .limits = {}, .batch_size = set.batch_size * options.processes};
    own.validation_split = set.validation_split;
    faults.add_from([&] { own.limits = training::bucket_limits(set.buckets); });
    data.sets_.push_back(own);
  }
  if (data.sets_.empty()) data.sets_.emplace_back();
  DatasetScan scan = scan_dataset(options, std::move(plan), faults);
  data.subsets_ = std::move(scan.subsets);
  data.examples_ = std::move(scan.examples);
  data.notes_ = std::move(scan.notes);
  data.make_buckets();
  return data;
}

Dataset Dataset::open(const DatasetOptions& options) {
  request::FaultList faults;
  Dataset data = look_at(options, faults);
  if (data.buckets_.empty() && faults.empty()) faults.add("the training set holds no picture that is shown.");
  faults.throw_if_any();
  return data;
}

void Dataset::make_buckets() {
  buckets_.clear();
  std::map<std::pair<std::size_t, PixelSize>, std::vector<std::size_t>> buckets;
  for (std::size_t i = 0; i < examples_.size(); ++i) {
    if (examples_[i].repeats < 1) continue;
    auto& bucket = buckets[{subset_of(i).set, examples_[i].place.bucket}];
    bucket.insert(bucket.end(), static_cast<std::size_t>(examples_[i].repeats), i);
  }
  for (auto& [key, members] : buckets)
    buckets_.push_back({key.second, std::move(members), sets_[key.first].batch_size});
}

Dataset Dataset::part(const std::vector<bool>& chosen) const {
  Dataset part = *this;
  part.examples_.clear();
  for (auto& subset : part.subsets_) subset.pictures = 0;
  for (std::size_t i = 0; i < examples_.size(); ++i) {
    if (!chosen[i]) continue;
    part.examples_.push_back(examples_[i]);
    ++part.subsets_[examples_[i].subset].pictures;
  }
  part.make_buckets();
  return part;
}

Dataset Dataset::all_trained() const {
  Dataset all = *this;
  for (auto& set : all.sets_) set.validation_split = std::nullopt;
  return all;
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
    count += (static_cast<std::int64_t>(bucket.examples.size()) + bucket.batch_size - 1) / bucket.batch_size;
  return count;
}

std::vector<ExampleBatch> Dataset::epoch(std::uint64_t seed, std::int64_t epoch) const {
  const at::Generator generator = step_generator(seed ^ kEpochStream, epoch);
  std::vector<ExampleBatch> batches;
  for (const auto& bucket : buckets_) {
    const auto size = static_cast<std::size_t>(bucket.batch_size);
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
    if (subset.trigger.empty() || subset.plan.is_regularisation || !seen.insert(subset.trigger).second)
      continue;
    phrase += (phrase.empty() ? "" : ", ") + subset.trigger;
  }
  return phrase;
}

std::map<std::string, Dataset::Seen> Dataset::seen() const {
  std::map<std::string, Seen> all;
  for (const auto& e : examples_) {
    const Subset& subset = subsets_[e.subset];
    // A list may name files of one name in several folders.
    const std::string file = subset.plan.list.empty() ? e.picture.filename().string() : e.picture.string();
    const std::string words =
        is_configured_ ? e.caption + "\x1f" + treatment(subset.plan, e.repeats) : e.caption;
    all[well_formed(subset.folder + "/" + file)] = {
        e.mask.empty() ? e.content : short_hash(e.content + e.mask_content), short_hash(words),
        short_hash(fmt::format("{}x{} {}x{} {}x{}", e.size.width, e.size.height, e.place.resized.width,
                               e.place.resized.height, e.place.bucket.width, e.place.bucket.height))};
  }
  return all;
}

std::string Dataset::fingerprint() const {
  std::string text;
  for (const auto& [name, seen] : seen())
    text += fmt::format("{}\x1f{}\x1f{}\x1f{}\n", name, seen.content, seen.caption, seen.place);
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace lowrank::training
