// The scripts of A1111 that exist here: X/Y/Z plot, prompt matrix, prompts from file. One row each, from which
// requests are read and /sdapi/v1/script-info is written.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "request/series/series.h"
#include "server/fields/parameter.h"
#include "server/json.h"

namespace lowrank::server {

// What `script_name` and `script_args` of a request come to.
struct ScriptRun {
  std::string_view name;  // of its grid's file: "xyz_grid"
  request::Series series;
  bool shows_pictures = true, shows_sheets = false;  // beside the grid of all
  request::FaultList faults = {};                    // of values, not told yet
  std::vector<std::string> warnings = {};            // one sentence each
};

struct ScriptArgument {
  ParameterRow row;
  std::string_view label;  // A1111's
  double step = 0;         // of a number, for the page; 0: none
  std::span<const std::string_view> choices = {};
  bool is_axis = false;  // its choices are the axes
};

struct ScriptRow {
  std::string_view title;
  std::span<const ScriptArgument> arguments;  // in A1111's order
  ScriptRun (*read)(const Json& values, bool is_img2img, const request::GenerationRequest& base,
                    std::size_t most);
};

std::span<const ScriptRow> script_table();

// The script that the parameters of a request name, if they do. `base` has no pictures; more than `most` requests are refused. Throws
// Refusal 422: in A1111's words when there is no such script, else naming the argument. What of its values does not fit
// stands in `faults`.
std::optional<ScriptRun> read_script(const Json& parameters, bool is_img2img,
                                     const request::GenerationRequest& base, std::size_t most);

// The arguments for A1111's script-info.
Json script_info(const ScriptRow& row, bool is_img2img);

}  // namespace lowrank::server
