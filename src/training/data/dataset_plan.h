// What a training set consists of, before a picture is looked at: folders with what is done to their pictures. Settled
// from the options, or from a file in the form of kohya's dataset configuration, where the options give what it leaves
// open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "request/fault_list.h"
#include "request/training/lora_options.h"

namespace lowrank::training {

using request::BucketOptions;
using request::DatasetOptions;

// Pictures of one folder, or of one list.
struct SubsetPlan {
  std::string name;              // for people and metadata; no other subset of the set has it
  std::filesystem::path folder;  // of the pictures; those of a list may be elsewhere
  std::filesystem::path list;    // of pictures and captions (see captions.h); empty: the folder's pictures
  std::filesystem::path masks;   // folder of pictures of the same names that weigh the loss; empty: none
  std::int64_t repeats = 1;      // how often an epoch shows each picture
  std::string trigger;           // the caption of pictures without one; may be empty
  bool is_regularisation = false;
  std::string caption_extension;  // see DatasetOptions
  request::CaptionOptions captions;
  bool flip_aug = false, color_aug = false, random_crop = false, alpha_mask = false;
};

// Subsets that share buckets and batches.
struct SetPlan {
  BucketOptions buckets;
  std::int64_t batch_size = 1;
  std::optional<double> validation_split;  // share of its pictures that is held out, where the file says one
  std::vector<SubsetPlan> subsets;
};

struct DatasetPlan {
  std::vector<SetPlan> sets;
  std::vector<std::string> notes;  // what was guessed or left out, one sentence each
};

// "10_red fox" → 10, "red fox". Throws Error naming the folder when its name has another form.
struct FolderName {
  std::int64_t repeats = 1;
  std::string trigger;
};
FolderName parse_folder_name(const std::filesystem::path& folder);

// Faults name folder, file and key; all of them are collected.
DatasetPlan plan_dataset(const DatasetOptions& options, request::FaultList& faults);

// Of `options.config`. Source of keys and defaults: kohya sd-scripts 0.10.1 (48d368fa), library/config_util.py.
void read_dataset_config(const DatasetOptions& options, DatasetPlan& plan, request::FaultList& faults);

// What a subset of these options has before its file says more.
SubsetPlan subset_of(const DatasetOptions& options);

}  // namespace lowrank::training
