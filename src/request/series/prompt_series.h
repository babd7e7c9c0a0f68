// Several requests from one text: A1111's "Prompt matrix" and "Prompts from file".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "request/fault_list.h"
#include "request/generation_request.h"

namespace lowrank::request {

// "a fox|red|in the snow" → all 2ⁿ combinations of the parts behind the first: "a fox", "a fox, red", … A
// part may be placed before the first instead, and joined by a blank. Source: A1111's
// scripts/prompt_matrix.py.
struct MatrixOptions {
  bool at_start = false;
  bool joined_by_blank = false;
};
std::vector<std::string> prompt_matrix(std::string_view text, const MatrixOptions& options);
// What stands between the bars; the first part is in every prompt.
std::vector<std::string> matrix_parts(std::string_view text);

struct LineOptions {
  bool iterates_seed = false;  // each line's seed is higher by the number of pictures of a request
  bool same_seed = false;      // a random seed is drawn once for all lines
  bool at_end = false;         // a line's prompt stands behind that of `base`, not before it
};

// One request per line that is not empty, each `base` with what the line says; prompts are put before those of
// `base`. A line without "--" is a prompt; others are options as A1111's script reads them: --prompt and --negative_prompt take words up to
// the next option, any other field of the request by its API name or flag takes one, quotes as in a shell.
// Throws Error(kBadInput) naming each line that cannot be read, or puts that into `found` where it is given. Source: A1111's scripts/prompts_from_file.py.
std::vector<GenerationRequest> prompts_from_lines(std::string_view lines, const GenerationRequest& base,
                                                  const LineOptions& options = {},
                                                  FaultList* found = nullptr);

}  // namespace lowrank::request
