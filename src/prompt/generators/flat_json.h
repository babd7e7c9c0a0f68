// Programs that keep their settings as one JSON object: which key means what.
#pragma once

#include <span>
#include <string_view>

#include "prompt/generators/draft.h"

namespace lowrank::prompt {

struct KeyMeaning {
  std::string_view key;
  std::string_view label;  // A1111's, or one of the words below
};

// Labels of values that are more than an entry.
inline constexpr std::string_view kPromptWord = "prompt", kNegativeWord = "negative", kWidthWord = "width",
                                  kHeightWord = "height", kSizeWord = "size", kSamplerWord = "sampler",
                                  kScheduleWord = "schedule", kModelWord = "model",
                                  kModelHashWord = "model hash", kVaeWord = "vae";

// Puts what the keys say into the draft. Several keys of one meaning: the first that says something counts.
void read_keys(const Json& object, std::span<const KeyMeaning> keys, Draft& draft);

}  // namespace lowrank::prompt
