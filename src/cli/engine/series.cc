#include "cli/engine/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/engine/commands.h"
#include "image/codec.h"
#include "library/picture_files.h"
#include "pipeline/field_table.h"
#include "pipeline/seeds.h"
#include "pipeline/series/axis.h"
#include "pipeline/series/prompt_series.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCells = 2000;
constexpr double kMaxSheetPixels = 400e6;

// Of A1111's grids: all cells share the seed that was drawn for the first.
void fix_seeds(GenerationArguments& arguments) {
  const auto seeds = pipeline::picture_seeds(arguments.request);
  arguments.request.seed = static_cast<std::int64_t>(seeds.front().seed);
  arguments.request.subseed = static_cast<std::int64_t>(seeds.front().subseed);
}

fs::path sheet_name(const fs::path& first) {
  return first.parent_path() / (first.stem().string() + "-sheet" + first.extension().string());
}

// Init picture and mask, where the command was given them.
void add_pictures(GenerationArguments& arguments) {
  if (arguments.init.empty()) return;
  const auto files = library::expand_pictures(arguments.init);
  if (files.size() != 1)
    throw Error(kBadInput, "a series starts from one picture; {} were given.", files.size());
  arguments.request.init_images = {image::load_picture(files.front())};
  if (!arguments.mask.empty()) arguments.request.mask = image::load_mask(arguments.mask);
}

GenerationArguments series_arguments(const CommandCall& call, const char* command) {
  GenerationArguments arguments = parse_generation(call.words, command);
  pipeline::check_request(arguments.request);
  add_pictures(arguments);
  return arguments;
}

std::optional<pipeline::Axis> axis_of(const std::string& text, const char* flag) {
  if (text.empty()) return std::nullopt;
  const auto colon = text.find(':');
  if (colon == std::string::npos)
    throw Error(kBadInput, "--{} is '{}', but must be NAME: VALUES, such as \"Steps: 10, 20\".", flag, text);
  return pipeline::parse_axis(text.substr(0, colon), std::string_view(text).substr(colon + 1));
}

}  // namespace

void make_series(std::vector<SeriesCell> cells, int columns, const GenerationArguments& arguments,
                 PictureMaker& maker) {
  if (cells.size() > kMaxCells)
    throw Error(kBadInput, "that would be {} pictures; at most {} are made in a series.", cells.size(),
                kMaxCells);
  for (const SeriesCell& cell : cells) pipeline::check_request(cell.request);
  std::vector<MadePictures> series;
  std::vector<image::SheetCell> sheet;
  double pixels = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    maker.announce(i + 1, cells.size());
    series.push_back(maker.make(cells[i].request));
    auto& pictures = series.back().result.pictures;
    pixels += static_cast<double>(pictures.front().picture.rgb.size()) / 3;
    if (!arguments.no_sheet && pixels <= kMaxSheetPixels)
      sheet.push_back({.picture = std::move(pictures.front().picture), .caption = cells[i].caption});
    for (auto& picture : pictures) picture.picture.rgb.clear();
  }
  fs::path file;
  if (sheet.size() > 1 && pixels <= kMaxSheetPixels) {
    file = sheet_name(series.front().files.front());
    const std::string extension = file.extension().string();
    image::save_picture(file, image::contact_sheet(sheet, columns),
                        {.format = image::picture_format(extension.substr(1)),
                         .quality = arguments.quality,
                         .parameters = series.front().result.pictures.front().metadata});
  }
  maker.print(series, file);
}

int xyz(const CommandCall& call) {
  GenerationArguments arguments = series_arguments(call, "xyz");
  fix_seeds(arguments);
  std::vector<pipeline::Axis> axes;
  for (const auto& [text, flag] :
       {std::pair(arguments.x_axis, "x"), {arguments.y_axis, "y"}, {arguments.z_axis, "z"}})
    if (auto axis = axis_of(text, flag)) axes.push_back(std::move(*axis));
  if (axes.empty())
    throw Error(kBadInput, "xyz needs an axis: --x \"Steps: 10, 20, 30\", and --y and --z as you like.");
  std::vector<SeriesCell> cells = {{arguments.request, ""}};
  // The last axis is the outermost.
  for (std::size_t a = 0; a < axes.size(); ++a) {
    std::vector<SeriesCell> more;
    for (std::size_t v = 0; v < axes[a].values.size(); ++v) {
      for (SeriesCell cell : cells) {
        pipeline::apply_axis(cell.request, axes[a], v);
        const std::string caption = pipeline::axis_caption(axes[a], v);
        cell.caption += (cell.caption.empty() ? "" : "; ") + caption;
        more.push_back(std::move(cell));
      }
      if (more.size() > kMaxCells)
        throw Error(kBadInput, "the axes have more than {} combinations; take fewer values.", kMaxCells);
    }
    cells = std::move(more);
  }
  PictureMaker maker(arguments, "xyz-images", call.stop);
  make_series(std::move(cells), static_cast<int>(axes.front().values.size()), arguments, maker);
  return 0;
}

int matrix(const CommandCall& call) {
  GenerationArguments arguments = series_arguments(call, "matrix");
  fix_seeds(arguments);
  std::string& prompt =
      arguments.matrix_negative ? arguments.request.negative_prompt : arguments.request.prompt;
  const auto prompts = pipeline::prompt_matrix(
      prompt, {.at_start = arguments.matrix_at_start, .joined_by_blank = arguments.matrix_blank});
  std::vector<SeriesCell> cells;
  const std::int64_t seed = arguments.request.seed;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompt = prompts[i];
    arguments.request.seed = seed + (arguments.different_seeds ? static_cast<std::int64_t>(i) : 0);
    cells.push_back({arguments.request, prompts[i]});
  }
  // Rows as A1111 lays them out: two to the power of half the parts.
  std::size_t rows = 1;
  while (rows * rows * 4 <= prompts.size()) rows *= 2;
  PictureMaker maker(arguments, "matrix-images", call.stop);
  make_series(std::move(cells), static_cast<int>(prompts.size() / rows), arguments, maker);
  return 0;
}

int prompts(const CommandCall& call) {
  GenerationArguments arguments = series_arguments(call, "prompts");
  std::ifstream file(arguments.prompts_file, std::ios::binary);
  if (!file)
    throw Error(kNotFound, "{}: the file with prompts cannot be read; name one with --file.",
                arguments.prompts_file.string());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (arguments.same_seed || arguments.iterate_seed) fix_seeds(arguments);
  auto requests = pipeline::prompts_from_lines(text, arguments.request);
  std::vector<SeriesCell> cells;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (arguments.iterate_seed && requests[i].seed == arguments.request.seed)
      requests[i].seed += static_cast<std::int64_t>(i);
    cells.push_back({requests[i], requests[i].prompt});
  }
  const int columns = std::min<int>(4, static_cast<int>(cells.size()));
  PictureMaker maker(arguments, "txt2img-images", call.stop);
  make_series(std::move(cells), columns, arguments, maker);
  return 0;
}

}  // namespace lowrank::cli
