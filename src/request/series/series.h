// Several requests made of one, and the grid that their pictures make: what the command line and the server
// do alike for A1111's scripts.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "image/grid.h"
#include "image/picture.h"
#include "request/fault_list.h"
#include "request/generation_request.h"
#include "request/series/axis.h"
#include "request/series/prompt_series.h"

namespace lowrank::request {

// A sheet per value of Z, each columns × rows; the sheets lie side by side.
struct SeriesGrid {
  std::vector<std::vector<image::GridLabel>> columns, rows, sheets;
  bool has_legend = true;
  int margin = 0;
  // What the metadata of a sheet, and of the whole, say beside the first picture's own.
  std::vector<std::pair<std::string, std::string>> sheet_entries = {}, entries = {};
};

struct Series {
  // Without the pictures of img2img, which may be large: with_pictures(). In a grid's order: along a row,
  // then down, then sheet by sheet.
  std::vector<GenerationRequest> requests;
  // In which they are best made: what takes long to change changes seldom.
  std::vector<std::size_t> order;
  std::optional<SeriesGrid> grid;
};

// `base` of all that follow has no pictures. More requests than `most` are refused. All throw
// Error(kBadInput) in one sentence that names every value that does not fit, and every line; with `found` these are put
// there instead, so that they can be told with the names that stand for nothing.

// A1111's X/Y/Z plot. Source: scripts/xyz_grid.py.
struct XyzSettings {
  std::array<Axis, 3> axes;               // "Nothing" where there is none
  bool keeps_random_seeds = false;        // else seeds of −1, of the request or on an axis, are drawn once
  std::array<bool, 3> varies_seeds = {};  // along each axis, one seed more for each value
  bool has_legend = true;
  int margin = 0;
};
Series xyz_series(const GenerationRequest& base, const XyzSettings& settings, std::size_t most,
                  FaultList* found = nullptr);

// The axes that change nothing in the pictures of `base`, a sentence each.
std::vector<std::string> idle_axes(const GenerationRequest& base, const std::array<Axis, 3>& axes,
                                   bool is_img2img);

// A1111's prompt matrix: one picture of each prompt. Source: scripts/prompt_matrix.py.
struct MatrixSettings {
  MatrixOptions options;
  bool varies_negative = false, different_seeds = false;
  int margin = 0;
};
Series matrix_series(const GenerationRequest& base, const MatrixSettings& settings, std::size_t most);

// A1111's prompts from file: no grid.
Series prompts_series(std::string_view lines, const GenerationRequest& base, const LineOptions& options,
                      std::size_t most, FaultList* found = nullptr);

// The request with the init pictures, masks and first pass of `pictures`.
GenerationRequest with_pictures(GenerationRequest request, const GenerationRequest& pictures);

struct SeriesSheets {
  image::Picture whole;
  std::vector<image::Picture> sheets;  // one per value of Z
};
// One picture per request, in the order of requests; one without pixels was not made.
SeriesSheets draw_sheets(const SeriesGrid& grid, const std::vector<const image::Picture*>& pictures);

// The first picture's metadata with `entries` before its Version.
std::string grid_metadata(const std::string& metadata,
                          const std::vector<std::pair<std::string, std::string>>& entries);

}  // namespace lowrank::request
