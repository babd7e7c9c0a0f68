#include "server/requests/series_scripts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/text.h"
#include "prompt/infotext.h"
#include "request/series/csv.h"
#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr std::string_view kKinds[] = {"positive", "negative"}, kJoiners[] = {"comma", "space"},
                           kPositions[] = {"start", "end"};

// clang-format off
constexpr ScriptArgument kXyz[] = {
    {{.name = "x_type", .type = kString, .default_value = "\"Seed\""}, "X type", 0, {}, true},
    {{.name = "x_values", .type = kString, .default_value = "\"\"", .max_length = kMaxPromptBytes}, "X values"},
    {{.name = "x_values_dropdown", .type = kStrings, .max_length = kMaxPromptBytes}, "X values"},
    {{.name = "y_type", .type = kString, .default_value = "\"Nothing\""}, "Y type", 0, {}, true},
    {{.name = "y_values", .type = kString, .default_value = "\"\"", .max_length = kMaxPromptBytes}, "Y values"},
    {{.name = "y_values_dropdown", .type = kStrings, .max_length = kMaxPromptBytes}, "Y values"},
    {{.name = "z_type", .type = kString, .default_value = "\"Nothing\""}, "Z type", 0, {}, true},
    {{.name = "z_values", .type = kString, .default_value = "\"\"", .max_length = kMaxPromptBytes}, "Z values"},
    {{.name = "z_values_dropdown", .type = kStrings, .max_length = kMaxPromptBytes}, "Z values"},
    {{.name = "draw_legend", .type = kBoolean, .default_value = "true"}, "Draw legend"},
    {{.name = "include_lone_images", .type = kBoolean, .default_value = "false"}, "Include Sub Images"},
    {{.name = "include_sub_grids", .type = kBoolean, .default_value = "false"}, "Include Sub Grids"},
    {{.name = "no_fixed_seeds", .type = kBoolean, .default_value = "false"}, "Keep -1 for seeds"},
    {{.name = "vary_seeds_x", .type = kBoolean, .default_value = "false"}, "Vary seeds for X"},
    {{.name = "vary_seeds_y", .type = kBoolean, .default_value = "false"}, "Vary seeds for Y"},
    {{.name = "vary_seeds_z", .type = kBoolean, .default_value = "false"}, "Vary seeds for Z"},
    {{.name = "margin_size", .type = kInteger, .default_value = "0", .min = 0, .max = 500}, "Grid margins (px)", 2},
    {{.name = "csv_mode", .type = kBoolean, .default_value = "false"}, "Use text inputs instead of dropdowns"},
};
constexpr ScriptArgument kMatrix[] = {
    {{.name = "put_at_start", .type = kBoolean, .default_value = "false"}, "Put variable parts at start of prompt"},
    {{.name = "different_seeds", .type = kBoolean, .default_value = "false"}, "Use different seed for each picture"},
    {{.name = "prompt_type", .type = kString, .default_value = "\"positive\""}, "Select prompt", 0, kKinds},
    {{.name = "variations_delimiter", .type = kString, .default_value = "\"comma\""}, "Select joining char", 0, kJoiners},
    {{.name = "margin_size", .type = kInteger, .default_value = "0", .min = 0, .max = 500}, "Grid margins (px)", 2},
};
constexpr ScriptArgument kLines[] = {
    {{.name = "checkbox_iterate", .type = kBoolean, .default_value = "false"}, "Iterate seed every line"},
    {{.name = "checkbox_iterate_batch", .type = kBoolean, .default_value = "false"}, "Use same random seed for all lines"},
    {{.name = "prompt_position", .type = kString, .default_value = "\"start\""}, "Insert prompts at the", 0, kPositions},
    {{.name = "prompt_txt", .type = kString, .default_value = "\"\"", .max_length = kMaxPromptBytes}, "List of prompt inputs"},
};
// clang-format on

// By A1111's number or by its label.
std::string axis_label(const std::string& type, bool is_img2img) {
  const auto number = parse_integer(type);
  if (!number) return type;
  const auto axes = request::a1111_axes(is_img2img);
  if (*number < 0 || static_cast<std::size_t>(*number) >= axes.size())
    throw Error(kBadInput, "unknown axis number {}; the last one is {}.", *number, axes.size() - 1);
  return std::string(axes[static_cast<std::size_t>(*number)]);
}

// Chosen values count unless the text is asked for; where there are none, the text does.
request::Axis axis_of(const Json& values, char letter, bool is_img2img) {
  const auto value = [&](const char* what) -> const Json& {
    return values.at(fmt::format("{}_{}", letter, what));
  };
  std::string text = value("values").get<std::string>();
  if (const Json& chosen = value("values_dropdown");
      chosen.is_array() && !chosen.empty() && !values.at("csv_mode").get<bool>())
    text = request::joined_csv(chosen.get<std::vector<std::string>>());
  const std::string type = value("type").get<std::string>();
  return request::parse_axis(axis_label(type.empty() ? "Nothing" : type, is_img2img), text);
}

ScriptRun read_xyz(const Json& values, bool is_img2img, const request::GenerationRequest& base,
                   std::size_t most) {
  const auto flag = [&](const char* name) { return values.at(name).get<bool>(); };
  request::FaultList faults;
  std::array<request::Axis, 3> axes;
  for (std::size_t i = 0; i < axes.size(); ++i)
    faults.add_from([&] { axes[i] = axis_of(values, "xyz"[i], is_img2img); });
  const request::XyzSettings settings{
      .axes = std::move(axes),
      .keeps_random_seeds = flag("no_fixed_seeds"),
      .varies_seeds = {flag("vary_seeds_x"), flag("vary_seeds_y"), flag("vary_seeds_z")},
      .has_legend = flag("draw_legend"),
      .margin = values.at("margin_size").get<int>()};
  ScriptRun run{.name = "xyz_grid",
                .series = request::xyz_series(base, settings, most, &faults),
                .shows_pictures = flag("include_lone_images"),
                .shows_sheets = flag("include_sub_grids"),
                .warnings = request::idle_axes(base, settings.axes, is_img2img)};
  // As plain requests' sizes are.
  for (request::GenerationRequest& request : run.series.requests) {
    request.width = request.width / 8 * 8;
    request.height = request.height / 8 * 8;
  }
  run.faults = std::move(faults);
  return run;
}

ScriptRun read_matrix(const Json& values, bool, const request::GenerationRequest& base, std::size_t most) {
  const request::MatrixSettings settings{
      .options = {.at_start = values.at("put_at_start").get<bool>(),
                  .joined_by_blank = values.at("variations_delimiter") == "space"},
      .varies_negative = values.at("prompt_type") == "negative",
      .different_seeds = values.at("different_seeds").get<bool>(),
      .margin = values.at("margin_size").get<int>()};
  return {.name = "prompt_matrix", .series = request::matrix_series(base, settings, most)};
}

ScriptRun read_lines(const Json& values, bool, const request::GenerationRequest& base, std::size_t most) {
  const request::LineOptions options{.iterates_seed = values.at("checkbox_iterate").get<bool>(),
                                     .same_seed = values.at("checkbox_iterate_batch").get<bool>(),
                                     .at_end = values.at("prompt_position") == "end"};
  ScriptRun run{.name = "prompts", .series = {}};
  run.series =
      request::prompts_series(values.at("prompt_txt").get<std::string>(), base, options, most, &run.faults);
  return run;
}

constexpr ScriptRow kScripts[] = {
    {"Prompt matrix", kMatrix, read_matrix},
    {"Prompts from file or textbox", kLines, read_lines},
    {"X/Y/Z plot", kXyz, read_xyz},
};

Json given_arguments(const Json& parameters, const ScriptRow& row) {
  Json given = parameters.at("script_args");
  // A1111 before 1.8 had no position of the prompt.
  if (row.read == read_lines && given.size() == 3) given.insert(given.begin() + 2, "start");
  return given;
}

// Every argument's value, by the names of the rows.
Json read_arguments(const ScriptRow& row, const Json& given) {
  Json values = Json::object();
  for (std::size_t i = 0; i < row.arguments.size(); ++i) {
    const ScriptArgument& argument = row.arguments[i];
    const std::string name(argument.row.name);
    RequestJson object = RequestJson::object();
    if (i < given.size()) object[name] = RequestJson(given[i]);
    // Clients leave a list of choices empty by a text.
    if (argument.row.type == kStrings && i < given.size() && given[i].is_string())
      object[name] = given[i] == "" ? RequestJson() : RequestJson::array({given[i].get<std::string>()});
    Faults faults;
    values.update(read_parameters(std::span(&argument.row, 1), object, faults));
    const bool is_chosen =
        argument.choices.empty() ||
        std::ranges::find(argument.choices, values[name].get<std::string>()) != argument.choices.end();
    std::string fault = faults.empty() ? "" : faults.first_message();
    if (fault.empty() && !is_chosen)
      fault = fmt::format("must be one of {}", fmt::join(argument.choices, ", "));
    if (!fault.empty())
      refuse_field("script_args", fmt::format("argument {}, {}: {}", i, argument.label, fault));
  }
  return values;
}

}  // namespace

std::span<const ScriptRow> script_table() {
  return kScripts;
}

std::optional<ScriptRun> read_script(const Json& parameters, bool is_img2img,
                                     const request::GenerationRequest& base, std::size_t most) {
  const Json& named = parameters.at("script_name");
  if (!named.is_string() || named == "") return std::nullopt;
  const std::string name = named.get<std::string>();
  const auto row = std::ranges::find_if(
      kScripts, [&](const ScriptRow& script) { return lower(script.title) == lower(name); });
  if (row == std::end(kScripts))
    throw Refusal(422, fmt::format("Script '{}' not found", name.substr(0, 200)));
  const Json values = read_arguments(*row, given_arguments(parameters, *row));
  try {
    return row->read(values, is_img2img, base, most);
  } catch (const Error& error) {
    if (error.code() != kBadInput) throw;
    refuse_field("script_args", error.what());
  }
}

Json script_info(const ScriptRow& row, bool is_img2img) {
  Json arguments = Json::array();
  for (const ScriptArgument& argument : row.arguments) {
    const bool is_number = argument.row.type == kInteger;
    Json choices = nullptr;
    if (argument.is_axis) choices = request::a1111_axes(is_img2img);
    if (!argument.choices.empty()) choices = argument.choices;
    arguments.push_back({{"label", argument.label},
                         {"value", Json::parse(argument.row.default_value)},
                         {"minimum", is_number ? Json(argument.row.min) : Json()},
                         {"maximum", is_number ? Json(argument.row.max) : Json()},
                         {"step", is_number ? Json(argument.step) : Json()},
                         {"choices", choices}});
  }
  return {
      {"name", lower(row.title)}, {"is_alwayson", false}, {"is_img2img", is_img2img}, {"args", arguments}};
}

}  // namespace lowrank::server
