// OpenCLIP keeps query, key and value in one matrix, and a LoRA made on its own names may change all three at once. The
// model has three layers, so that such a module is cut in three by rows; what acts on the input all of them share.
#pragma once

#include <array>
#include <string>

#include "formats/lora/lora_file.h"

namespace lowrank::formats {

struct CutRows {
  std::array<PartViews, 3> parts;  // views into the same bytes
  std::string problem;             // why it cannot be cut; "": it was
};
CutRows cut_in_three(AdapterKind kind, const PartViews& parts);

}  // namespace lowrank::formats
