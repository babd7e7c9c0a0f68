// The arguments of a command become a generation request: every field of request/field_table.h by its flag, and the
// options that are no part of a picture.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/engine/output_options.h"
#include "prompt/limits.h"
#include "request/generation_request.h"
#include "request/preview_types.h"

namespace lowrank::cli {

struct GenerationArguments : OutputOptions {
  request::GenerationRequest request;
  bool int8 = false;                        // the U-Net in 8 bits
  prompt::PromptLimits prompt_limits = {};  // how much work the prompt may ask for
  std::filesystem::path from;               // a picture to repeat; "" none
  std::string init_hash;                    // of the init picture that `from` was made from; "" unknown
  std::filesystem::path preview;            // rewritten at each step; "" none
  request::PreviewType preview_type = request::PreviewType::kBest;
  // img2img, and series that start from a picture.
  std::vector<std::filesystem::path> init;  // pictures, or folders of them
  std::filesystem::path mask;               // a picture, or a folder of pictures named alike
  // Series.
  std::string x_axis, y_axis, z_axis;  // "NAME: VALUES"
  bool no_sheet = false;
  std::filesystem::path prompts_file;
  bool iterate_seed = false, same_seed = false;
  bool matrix_at_start = false, matrix_negative = false, matrix_blank = false, different_seeds = false;
  std::vector<std::string> notes;  // one sentence each: what --from could not take over
};

// With --from the picture's own settings come first and what was given on top. Throws Error(kBadInput) naming the option.
GenerationArguments read_generation(const Arguments& given, std::string_view command);

}  // namespace lowrank::cli
