// What a long prompt costs beside a short one, reckoned before anything is encoded.
#pragma once

#include <cstdint>

#include "model/diffusion_model.h"
#include "prompt/prompt.h"

namespace lowrank::pipeline {

struct PromptMemoryRequest {
  std::int64_t pictures = 1;  // made together
  std::int64_t cells = 0;     // of the latent: height · width
  bool pads = false;          // prompt and negative prompt are made equally long
  // To be encoded, where LoRAs that switch make them more than the prompt has; else 0
  std::int64_t chunks = 0;
};

// Bytes that `parsed` takes beyond what a prompt of one piece and one chunk takes, about: the encoded texts, their keys
// and values in the network, and the network's activations for the further pieces.
std::int64_t prompt_memory(const prompt::ParsedPrompt& parsed, const model::DiffusionModel& network,
                           const PromptMemoryRequest& request);

// Throws Error(kBadInput) when that is more than the limit, or than the system has available.
void check_prompt_memory(const prompt::ParsedPrompt& parsed, const model::DiffusionModel& network,
                         const PromptMemoryRequest& request, const prompt::PromptLimits& limits);

}  // namespace lowrank::pipeline
