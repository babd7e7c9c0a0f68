// Whether the disk holds what a run will write: told before anything is spent on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "request/training/lora_options.h"
#include "training/lora/lora_metadata.h"

namespace lowrank::training {

struct SpaceNeed {
  std::int64_t lora_bytes = 0, lora_files = 0;  // of one file, and how many lie there in the end
  std::int64_t state_bytes = 0;   // of one state; the next one lies beside it while it is written
  std::int64_t latent_bytes = 0;  // with --cache-latents-to-disk
};

// `parameters`: numbers that are learned; `latents`: numbers of all encoded pictures. AdamW's two moments are reckoned
// with for the state, which no other optimiser exceeds.
SpaceNeed space_need(const request::LoraTrainOptions& options, const LoraPlan& plan, std::int64_t done,
                     std::int64_t parameters, std::int64_t latents);

// Free bytes where a folder lies, and an identity of that file system.
struct FreeSpace {
  std::int64_t bytes = 0;
  std::uint64_t device = 0;
};
FreeSpace free_space(const std::filesystem::path& folder);

// Throws Error(kBadInput) naming the folder, both amounts and what to do. The folders must exist; where the system does not
// tell, nothing is checked.
void require_space(const request::LoraTrainOptions& options, const SpaceNeed& need,
                   const std::function<FreeSpace(const std::filesystem::path&)>& free = free_space);

}  // namespace lowrank::training
