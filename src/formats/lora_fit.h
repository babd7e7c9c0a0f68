// Whether and how a LoRA will apply to a checkpoint, told from the two headers alone: which of its modules
// meet a layer of the right shape, and why the others do not.
#pragma once

#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/lora_file.h"

namespace lowrank::formats {

struct UnmetModule {
  std::string module;
  std::string reason;  // "there is no such layer", "shape [320, 768] meets a layer [320, 1024]"
};

struct LoraFit {
  int applied_unet = 0, applied_text = 0;
  std::vector<UnmetModule> unmet;  // modules without a place, and those that the file itself spoils
  std::string family;              // of LoRA and checkpoint when they differ: "the file is SDXL …"; else ""
  bool applies() const { return applied_unet + applied_text > 0; }
};

LoraFit fit_lora(const LoraFile& lora, const Checkpoint& checkpoint);

}  // namespace lowrank::formats
