// The last step of a batch: latents become pictures with their metadata.
#pragma once

#include <optional>
#include <string>

#include "pipeline/generate/active_pass.h"
#include "pipeline/generate/generation.h"
#include "pipeline/generate/lora_account.h"
#include "pipeline/pictures/init_pictures.h"

namespace lowrank::pipeline {

// A finished pass of the batch.
struct FinishedPass {
  const ActivePass* pass = nullptr;
  PassOutput output = {};
};

struct Batch {
  int number = 0;           // from 0
  FinishedPass first = {};  // without latents where the request brought a picture in their place
  std::optional<FinishedPass> second = {};  // hires fix
};

struct MetadataNotes {
  std::string version;  // of the program
  bool int8 = false;    // the U-Net was held in 8 bits
};

// Adds the batch's pictures to `result` and tells the listener of each. Throws Error(kConflict) when a file that they were
// made with changed meanwhile, kCancelled between pictures, kUnsupported for latents that are no numbers.
void finish_batch(const Batch& batch, const PassPlans& passes, const Generation& generation,
                  const InitPictures& init, const LoraAccount& account, const MetadataNotes& notes,
                  GenerationResult& result);

}  // namespace lowrank::pipeline
