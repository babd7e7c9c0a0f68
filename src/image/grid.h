// Grids of pictures as A1111 lays them out: X/Y/Z plots, prompt matrices, and the overview of a batch. Source: A1111's
// modules/images.py, image_grid and draw_grid_annotations.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "image/picture.h"

namespace lowrank::image {

// Every cell is as large as the largest picture; a smaller one lies in the middle of white, one without pixels makes
// its cell black. `rows` 0: √n rounded, so that the grid is about square.
Picture picture_grid(std::span<const Picture* const> pictures, int rows = 0);

struct GridLabel {
  std::string text;
  bool is_active = true;  // false: grey and struck through
};

// What stands around a grid. One list of lines per column and per row; with no text at all on a side, that side takes no
// room.
struct GridLegend {
  std::vector<std::vector<GridLabel>> columns, rows;
  int margin = 0;  // white pixels between the cells
};

// The same with labels: over the columns, and to the left of the rows on three quarters of a cell's width. Letters are
// as high as a twenty-fifth of a cell's width and height together, as far as the dots of the font allow.
Picture labelled_grid(std::span<const Picture* const> pictures, const GridLegend& legend);

}  // namespace lowrank::image
