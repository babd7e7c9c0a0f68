// How much work a prompt may ask for. A few kilobytes of text can ask for hours and gigabytes: each part between ANDs
// is a row of the U-Net's batch, each chunk of 75 tokens a pass of the text encoder, each change over time a text of
// its own. All of it is counted before anything is encoded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowrank::prompt {

struct PromptLimits {
  std::int64_t tags = 250;     // network tags
  std::int64_t depth = 250;    // brackets open at once
  std::int64_t pieces = 64;    // parts between AND
  std::int64_t texts = 300;    // that editing and alternation make, of the prompts together
  std::int64_t chunks = 500;   // of 75 tokens, in all these texts
  std::int64_t memory_mb = 0;  // for a long prompt beside a short one's; 0: what is available
};

// "pieces=100,chunks=2000": the defaults with these changed. Throws Error(kBadInput) naming `option`, what is wrong
// with it and the names that there are.
PromptLimits parse_prompt_limits(std::string_view text, std::string_view option);

// The names of parse_prompt_limits() with their defaults, for help: "tags=250,depth=250,…".
std::string prompt_limits_text(const PromptLimits& limits = {});

// Throws Error(kBadInput) in one sentence that says what is too much of and how to raise the limit. `what` begins the
// sentence.
void check_limit(std::int64_t PromptLimits::*limit, const PromptLimits& limits, std::int64_t asked,
                 std::string_view what = "the prompt");

// Most brackets that are open at once, escaped ones not counted.
std::int64_t bracket_depth(std::string_view text);

}  // namespace lowrank::prompt
