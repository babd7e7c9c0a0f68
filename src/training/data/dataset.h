// A training set: pictures with their captions, masks and buckets, in folders as kohya's, OneTrainer's and Hugging Face's
// are, or as kohya's dataset configuration lists them. Nothing is decoded here but the pictures' sizes; everything is
// plain data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "training/data/buckets.h"
#include "training/data/caption_draw.h"
#include "training/data/captions.h"
#include "training/data/dataset_plan.h"
#include "training/data/example.h"

namespace lowrank::training {

// "10_red foxes" → 10, "red foxes". Throws Error naming the folder when its name has another form.
Subset parse_subset_name(const std::filesystem::path& folder);

// Subsets that share buckets and batches.
struct ExampleSet {
  BucketOptions buckets;
  BucketLimits limits{};
  std::int64_t batch_size = 1;  // of all processes together
  std::optional<double> validation_split = {};
};

// Pictures that are shown together, as indices into examples(): all of one bucket, at most batch_size of its set.
using ExampleBatch = std::vector<std::size_t>;

class Dataset {
 public:
  // Throws one Error that names all that is wrong with the set, each fault by its file or folder: nothing to train on, a
  // folder without `N_`, an empty folder, a picture or mask that cannot be decoded, a picture with neither caption nor
  // trigger words, a key of the configuration that is not known …
  static Dataset open(const DatasetOptions& options);
  // The same without an exception: what can be used of the set, and what cannot in `faults`.
  static Dataset look_at(const DatasetOptions& options, request::FaultList& faults);

  const std::vector<Subset>& subsets() const { return subsets_; }
  const std::vector<Example>& examples() const { return examples_; }  // by folder, then file name
  const std::vector<ExampleSet>& sets() const { return sets_; }       // at least one
  const Subset& subset_of(std::size_t example) const { return subsets_[examples_[example].subset]; }
  // By a file, which then says of several sets and their batches what options say of one.
  bool is_configured() const { return is_configured_; }
  const BucketLimits& bucket_limits() const { return sets_.front().limits; }
  // Of all pictures: buckets in use, by set and size, with how many pictures (repeats counted) each holds.
  struct Bucket {
    PixelSize size;
    std::vector<std::size_t> examples;  // each as often as it is shown
    std::int64_t batch_size = 1;
  };
  const std::vector<Bucket>& buckets() const { return buckets_; }
  double mean_aspect_error() const;  // mean |aspect_error|

  std::int64_t pictures_per_epoch() const;  // repeats counted
  std::int64_t batches_per_epoch() const;
  // Every picture N times in random order, batched within its bucket (a bucket's last batch may be smaller),
  // and the batches in random order. The same seed and epoch (from 0) give the same list.
  std::vector<ExampleBatch> epoch(std::uint64_t seed, std::int64_t epoch) const;

  // The trigger words of all folders but those of regularisation pictures, for people: "3dmm style", "fox, hare".
  std::string trigger_phrase() const;
  // Those of the pictures that are chosen, one flag for each of examples().
  Dataset part(const std::vector<bool>& chosen) const;
  // The same with none of its pictures held out by its configuration.
  Dataset all_trained() const;
  // What was left out or guessed, one sentence each.
  const std::vector<std::string>& notes() const { return notes_; }
  // What training sees of each picture, by "FOLDER/FILE": content, caption and place, as hashes. Equal when training
  // would see the same.
  struct Seen {
    std::string content, caption, place;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  std::map<std::string, Seen> seen() const;
  // SHA-256 over seen().
  std::string fingerprint() const;

 private:
  void make_buckets();
  std::vector<Subset> subsets_;
  std::vector<Example> examples_;
  std::vector<ExampleSet> sets_;
  std::vector<Bucket> buckets_;
  std::vector<std::string> notes_;
  bool is_configured_ = false;  // by a file, whose changes a resumed run must notice
};

}  // namespace lowrank::training
