// The difference of two checkpoints of one family as an adapter: what training or merging made of one out of the other.
#pragma once

#include <filesystem>

#include "edit/merge.h"
#include "edit/ranks.h"

namespace lowrank::edit {

enum class ExtractForm {
  kFactors,  // LoRA and LoCon of linear layers and convolutions; norms and biases are told, not kept
  kWhole,    // every difference as it is, of norms and biases too
};

struct ExtractOptions {
  std::filesystem::path base, tuned;
  ExtractForm form = ExtractForm::kFactors;
  RankOptions ranks = {};  // not kSize
  bool text_encoder = true, unet = true;
  bool exact_svd = false;
  Precision precision = Precision::kFloat16;  // kAsInputs: float16 too
};

// Layer by layer, so that memory holds a few layers of both. Layers that are equal are left out. Throws Error(kBadInput)
// where the checkpoints are of two families, a layer has two shapes, or nothing differs.
Report extract(const ExtractOptions& options, const Job& job);

}  // namespace lowrank::edit
