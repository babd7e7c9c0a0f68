// Several adapter files become one, which at weight 1 does what the files do together at their weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapter/block_weights.h"
#include "adapter/formula.h"
#include "edit/job.h"
#include "edit/report.h"

namespace lowrank::edit {

// A file and its weight, in the words of a prompt's tag.
struct MergeInput {
  std::filesystem::path path;
  double te = 1, unet = 1;
  adapter::Dyn dyn = {};
  adapter::BlockWeights blocks = {};
  std::string text = {};  // the weight as it was asked for, for the metadata
};

struct MergeOptions {
  std::vector<MergeInput> inputs;
  std::optional<std::filesystem::path> base = {};  // checkpoint
  // The largest rank of a layer's factors; nullopt: the sum of ranks, so that nothing is lost. Of k×k convolutions another one.
  std::optional<std::int64_t> rank = {}, conv_rank = {};
  bool exact_svd = false;                      // whole decompositions where a random projection would do
  Precision precision = Precision::kAsInputs;  // the widest that an input has
};

// Throws Error(kBadInput) where files of several families meet, layers differ in shape, a kind needs the checkpoint's weights
// and there is none, or a value is no number; otherwise as write_steps().
Report merge(const MergeOptions& options, const Job& job);

}  // namespace lowrank::edit
