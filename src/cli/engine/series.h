// Commands that make several requests of one and lay their pictures on a sheet.
#pragma once

#include <string>
#include <vector>

#include "cli/engine/generation_arguments.h"
#include "cli/engine/picture_maker.h"

namespace lowrank::cli {

struct SeriesCell {
  pipeline::GenerationRequest request;
  std::string caption;
};

// Makes all cells in order, saves each picture and a sheet of the first picture of each, `columns` in a row;
// prints them. A random seed is drawn once for all. `--no-sheet`, or one cell, leaves the sheet out.
void make_series(std::vector<SeriesCell> cells, int columns, const GenerationArguments& arguments,
                 PictureMaker& maker);

}  // namespace lowrank::cli
