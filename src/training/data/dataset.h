// A training set in kohya's form: a folder of folders `N_trigger words`, each with pictures and, beside a
// picture of the same stem, its caption. N is how often each picture is shown in an epoch; the trigger words
// caption what has no caption of its own. Nothing is decoded here but the pictures' sizes; everything is
// plain data.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "training/data/buckets.h"

namespace lowrank::training {

using request::CaptionOptions;
using request::DatasetOptions;

struct Subset {
  std::string folder;  // "10_foxes"
  std::int64_t repeats = 1;
  std::string trigger;        // "foxes"; may be empty
  std::int64_t pictures = 0;  // without repeats
};

// "10_red foxes" → 10, "red foxes". Throws Error naming the folder when its name has another form.
Subset parse_subset_name(const std::filesystem::path& folder);

// The caption files beside a picture: PICTURE.txt, PICTURE.caption, and both in capitals. The first is its caption.
std::vector<std::filesystem::path> caption_files(const std::filesystem::path& picture);

struct Caption {
  std::string text;       // the first line that holds any, trimmed
  bool has_more = false;  // the lines behind it are not learned
};

// The picture's caption, as UTF-8; nullopt when there is none. Throws Error naming the file: and the byte when it is
// not text in that encoding ("": UTF-8, unless a byte order mark tells another), or what it is instead of a file.
std::optional<Caption> read_caption(const std::filesystem::path& picture, const std::string& encoding = {});

struct Example {
  std::filesystem::path picture;
  std::size_t subset = 0;
  std::string caption;  // of the caption file, else the trigger words
  PixelSize size;       // of the picture as it is to be seen
  BucketChoice place;
  std::string content = {};  // SHA-256 of the file
};

// Pictures that are shown together, as indices into examples(): all of one bucket, at most batch_size.
using ExampleBatch = std::vector<std::size_t>;

class Dataset {
 public:
  // Throws Error naming the file or folder: nothing to train on, a folder without `N_`, an empty folder, a
  // picture that cannot be decoded, a picture with neither caption nor trigger words.
  static Dataset open(const DatasetOptions& options);

  const std::vector<Subset>& subsets() const { return subsets_; }
  const std::vector<Example>& examples() const { return examples_; }  // by folder, then file name
  const BucketLimits& bucket_limits() const { return limits_; }
  // Of all pictures: buckets in use, by size, with how many pictures (repeats counted) each holds.
  struct Bucket {
    PixelSize size;
    std::vector<std::size_t> examples;  // each repeated N times
  };
  const std::vector<Bucket>& buckets() const { return buckets_; }
  double mean_aspect_error() const;  // mean |aspect_error|

  std::int64_t pictures_per_epoch() const;  // repeats counted
  std::int64_t batches_per_epoch() const;
  // Every picture N times in random order, batched within its bucket (a bucket's last batch may be smaller),
  // and the batches in random order. The same seed and epoch (from 0) give the same list.
  std::vector<ExampleBatch> epoch(std::uint64_t seed, std::int64_t epoch) const;

  // The trigger words of all folders, for people: "3dmm style", "fox, hare".
  std::string trigger_phrase() const;
  // Those of the pictures that are chosen, one flag for each of examples().
  Dataset part(const std::vector<bool>& chosen) const;
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
  std::vector<Subset> subsets_;
  std::vector<Example> examples_;
  std::vector<Bucket> buckets_;
  std::vector<std::string> notes_;
  BucketLimits limits_{};
  std::int64_t batch_size_ = 1;
};

// The comma-separated tags of a caption, trimmed, empty ones left out.
std::vector<std::string> caption_tags(const std::string& caption);

// The caption as one step sees it.
std::string draw_caption(const std::string& caption, const CaptionOptions& options, at::Generator generator);

}  // namespace lowrank::training
