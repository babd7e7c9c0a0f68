// Composition: a positive prompt is split at the word `AND` into pieces, each with a weight. The guided
// result is
//
//   u + Σᵢ wᵢ · s · (cᵢ − u)        u uncond, cᵢ piece, wᵢ its weight, s guidance scale
//
// Weights are not normalised. Negative prompts are never split.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

struct ComposedPiece {
  std::string text;  // leading blanks kept, trailing ones dropped
  double weight = 1.0;
};

// Splits at every upper-case AND that stands as a word; `text : weight` at the end of a piece sets its
// weight. A prompt without AND is one piece, and a number after a colon at its very end is its weight all the
// same. Source: A1111's get_multicond_prompt_list.
std::vector<ComposedPiece> split_composition(std::string_view prompt);

struct ComposedPrompts {
  struct Use {
    std::size_t text = 0;  // index into texts
    double weight = 1.0;
  };
  std::vector<std::string> texts;      // distinct piece texts in order of appearance: each is encoded once
  std::vector<std::vector<Use>> uses;  // per prompt, its pieces in order
};

// The pieces of several prompts, with equal texts shared.
ComposedPrompts compose(std::span<const std::string> prompts);

}  // namespace lowrank::prompt
