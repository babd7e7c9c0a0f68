// One picture of a training set, and the folder or list that it came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "training/data/buckets.h"
#include "training/data/dataset_plan.h"

namespace lowrank::training {

struct Subset {
  std::string folder;  // its name, "10_foxes"; no other subset of the set has it
  std::int64_t repeats = 1;
  std::string trigger;        // "foxes"; may be empty
  std::int64_t pictures = 0;  // without repeats
  std::size_t set = 0;        // index into the dataset's sets
  SubsetPlan plan = {};
};

struct Example {
  std::filesystem::path picture;
  std::size_t subset = 0;
  std::string caption;  // of the caption file, else the trigger words; with wildcards all lines of it
  PixelSize size;       // of the picture as it is to be seen
  BucketChoice place;
  std::string content = {};         // SHA-256 of the file
  std::int64_t repeats = 1;         // how often an epoch shows it
  std::filesystem::path mask = {};  // a picture that weighs the loss; empty: none
  std::string mask_content = {};    // SHA-256 of that file
};

}  // namespace lowrank::training
