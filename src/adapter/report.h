// What each LoRA of a request did: which parts acted, how much they changed, and what was left out and why.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/lora/lora_file.h"

namespace lowrank::adapter {

struct ComponentReport {
  std::int64_t applied = 0;  // modules that fit a layer
  std::int64_t modules = 0;  // modules of the file that address this component
  std::int64_t layers = 0;   // layers of the model's component that could be changed
  double weight = 1;         // te or unet of the tag
};

struct BlockChange {
  std::string block;  // "IN04", "M00", "OUT11", "BASE" (text encoder), "other"
  std::int64_t modules = 0;
  double relative = 0;  // ‖m·ΔW‖ / ‖W‖, Frobenius, over the block's changed layers
};

struct ApplyReport {
  std::string name, alias, path;
  std::string base_model, base_model_reason;   // "SD 1.x", "cross-attention is 768 wide"
  std::map<std::string, std::int64_t> kinds;   // "LoRA" → modules
  std::map<std::int64_t, std::int64_t> ranks;  // rank → modules (kinds with a rank)
  std::map<double, std::int64_t> alphas;       // alpha → modules that state one
  std::optional<std::int64_t> dyn;
  ComponentReport unet, text_encoder;
  std::int64_t keys_applied = 0, keys_skipped = 0, keys_unknown = 0,
               keys_total = 0;  // the first three sum to the last
  std::vector<formats::SkippedKeys> skipped;
  std::vector<std::string> unknown;
  bool measured = false;  // whether the sizes below were computed
  std::vector<BlockChange> blocks;
  double relative = 0;             // over all changed layers
  std::int64_t not_finite = 0;     // modules that hold such values; they count in no size
  std::vector<std::string> notes;  // one sentence each
};

// For the terminal: some lines of text, each ending in '\n'.
std::string text(const ApplyReport& report);

}  // namespace lowrank::adapter
