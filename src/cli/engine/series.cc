// `lowrank xyz`, `matrix` and `prompts`: several requests made of one, their pictures laid on a sheet.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log_line.h"
#include "base/text/text_file.h"
#include "cli/engine/cli_generator.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "cli/engine/series.h"
#include "image/codec/codec.h"
#include "library/picture_files.h"
#include "request/fault_list.h"
#include "request/field_table.h"
#include "request/series/series.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

using request::Series;

constexpr std::size_t kMostPictures = 2000;
constexpr double kMaxSheetPixels = 400e6;

fs::path sheet_name(const fs::path& first) {
  return first.parent_path() / (first.stem().string() + "-sheet" + first.extension().string());
}

// Init picture and mask, where the command was given them.
request::GenerationRequest given_pictures(const GenerationArguments& arguments) {
  request::GenerationRequest pictures;
  if (arguments.init.empty()) return pictures;
  const auto files = library::expand_pictures(arguments.init);
  if (files.size() != 1)
    throw Error(kBadInput, "a series uses one input picture, but {} were given.", files.size());
  pictures.init_images = {image::load_picture(files.front())};
  if (!arguments.mask.empty()) pictures.mask = image::load_mask(arguments.mask);
  return pictures;
}

GenerationArguments series_arguments(const CommandCall& call, const char* command) {
  GenerationArguments arguments = read_generation(call.arguments, command);
  request::check_request(arguments.request);
  return arguments;
}

request::Axis axis_of(const std::string& text, const char* flag) {
  if (text.empty()) return {};
  const auto colon = text.find(':');
  if (colon == std::string::npos)
    throw Error(kBadInput, "--{} is '{}', but must be NAME: VALUES, such as \"Steps: 10, 20\".", flag, text);
  return request::parse_axis(text.substr(0, colon), std::string_view(text).substr(colon + 1));
}

// Prompts make no grid; they are written below their pictures.
image::Picture captioned_sheet(const Series& series, std::vector<SavedGeneration>& made) {
  std::vector<image::SheetCell> cells;
  for (std::size_t i = 0; i < made.size(); ++i)
    cells.push_back({.picture = std::move(made[i].result.pictures.front().picture),
                     .caption = series.requests[i].prompt});
  return image::contact_sheet(cells, std::min<int>(4, static_cast<int>(cells.size())));
}

image::Picture sheet_of(const Series& series, std::vector<SavedGeneration>& made) {
  if (!series.grid) return captioned_sheet(series, made);
  std::vector<const image::Picture*> pictures;
  for (const auto& each : made) pictures.push_back(&each.result.pictures.front().picture);
  return request::draw_sheets(*series.grid, pictures).whole;
}

}  // namespace

void make_series(const Series& series, const GenerationArguments& arguments, std::string_view folder,
                 const CommandCall& call, request::FaultList faults) {
  const request::GenerationRequest pictures = given_pictures(arguments);
  std::size_t count = 0;
  for (const auto& request : series.requests) count += static_cast<std::size_t>(request.picture_count());
  CliGenerator generator(arguments, folder, count, call.stop);
  generator.check(series.requests, std::move(faults));
  std::vector<SavedGeneration> made(series.requests.size());
  // Of a single cell only where its legend says what the axes are.
  const bool is_plot = series.grid && !series.grid->entries.empty();
  bool has_sheet = !arguments.no_sheet && (made.size() > 1 || is_plot);
  double pixels = 0;
  std::size_t number = 0;
  for (const std::size_t i : series.order) {
    generator.announce(++number, made.size());
    made[i] = generator.make(request::with_pictures(series.requests[i], pictures));
    pixels += static_cast<double>(made[i].result.pictures.front().picture.rgb.size()) / 3;
    if (has_sheet && pixels > kMaxSheetPixels) {
      has_sheet = false;
      log_line(stderr, "warning: the grid would be larger than {:.0f} million pixels and was not made.\n",
               kMaxSheetPixels / 1e6);
      for (auto& each : made)
        for (auto& picture : each.result.pictures) picture.picture.rgb = {};
    }
    for (auto& picture : made[i].result.pictures)
      if (!has_sheet || &picture != &made[i].result.pictures.front()) picture.picture.rgb = {};
  }
  fs::path file;
  if (has_sheet) {
    file = sheet_name(made.front().files.front());
    std::string metadata = made.front().result.pictures.front().metadata;
    if (series.grid) metadata = request::grid_metadata(metadata, series.grid->entries);
    file = image::save_new_picture(file, sheet_of(series, made),
                                   {.format = image::picture_format(file.extension().string().substr(1)),
                                    .quality = arguments.quality,
                                    .parameters = metadata});
  }
  generator.print(made, file);
}

int xyz(const CommandCall& call) {
  const GenerationArguments arguments = series_arguments(call, "xyz");
  request::XyzSettings settings;
  request::FaultList faults;
  faults.add_from([&] { settings.axes[0] = axis_of(arguments.x_axis, "x"); });
  faults.add_from([&] { settings.axes[1] = axis_of(arguments.y_axis, "y"); });
  faults.add_from([&] { settings.axes[2] = axis_of(arguments.z_axis, "z"); });
  if (faults.empty() &&
      std::ranges::all_of(settings.axes, [](const auto& axis) { return axis.text.empty(); }))
    throw Error(kBadInput, "xyz needs an axis: --x \"Steps: 10, 20, 30\", and optionally --y and --z.");
  const request::Series series = request::xyz_series(arguments.request, settings, kMostPictures, &faults);
  if (faults.empty())
    for (const std::string& idle :
         request::idle_axes(arguments.request, settings.axes, !arguments.init.empty()))
      log_line(stderr, "warning: {}\n", idle);
  make_series(series, arguments, "xyz-images", call, std::move(faults));
  return 0;
}

int matrix(const CommandCall& call) {
  const GenerationArguments arguments = series_arguments(call, "matrix");
  const request::MatrixSettings settings{
      .options = {.at_start = arguments.matrix_at_start, .joined_by_blank = arguments.matrix_blank},
      .varies_negative = arguments.matrix_negative,
      .different_seeds = arguments.different_seeds};
  make_series(request::matrix_series(arguments.request, settings, kMostPictures), arguments, "matrix-images",
              call);
  return 0;
}

int prompts(const CommandCall& call) {
  const GenerationArguments arguments = series_arguments(call, "prompts");
  std::ifstream file(arguments.prompts_file, std::ios::binary);  // which may be a pipe
  if (!file)
    throw Error(kNotFound, "{}: the prompt file cannot be read; choose another with --file.",
                arguments.prompts_file.string());
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::string text = decode_text(bytes, arguments.prompts_file.string());
  const request::LineOptions options{.iterates_seed = arguments.iterate_seed,
                                     .same_seed = arguments.same_seed};
  request::FaultList faults;
  const Series series = request::prompts_series(text, arguments.request, options, kMostPictures, &faults);
  make_series(series, arguments, "txt2img-images", call, std::move(faults));
  return 0;
}

}  // namespace lowrank::cli
