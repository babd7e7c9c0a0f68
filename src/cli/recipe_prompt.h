// `--recipe NAME`: a recipe's words and LoRAs are added to the prompt before the engine sees it.
#pragma once

#include "cli/invocation.h"
#include "library/library.h"
#include "library/recipe.h"

namespace lowrank::cli {

// Rewrites --prompt and --negative of an invocation that has --recipe, and takes --recipe away. Names are
// those of this collection where a recipe's hash is known here. Throws Error for a recipe that does not
// exist.
void apply_recipes(Invocation& invocation);

// "soft light, <lora:3dmm:0.8>".
std::string recipe_words(const library::Recipe& recipe, const library::Library& library);

// The tags of a prompt as a recipe's LoRAs, and the prompt without them.
struct PromptParts {
  std::string prompt;
  std::vector<library::RecipeLora> loras;
};
PromptParts split_prompt(const std::string& prompt);

}  // namespace lowrank::cli
