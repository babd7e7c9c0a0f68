// Grids of pictures: where the cells lie, and the words around them.
#include "image/grid.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "image/lettering.h"
#include "image/picture_files.h"

namespace lowrank::image {
namespace {

std::vector<const Picture*> pointers(const std::vector<Picture>& pictures) {
  std::vector<const Picture*> all;
  for (const auto& picture : pictures) all.push_back(&picture);
  return all;
}

bool is_white(const Picture& picture) {
  return std::ranges::all_of(picture.rgb, [](std::uint8_t level) { return level == 255; });
}

TEST(PictureGrid, IsAsSquareAsTheSquareRootRounds) {
  // How many rows A1111 gives a batch: round(sqrt(n)).
  for (const auto& [count, columns, rows] : {std::tuple(1, 1, 1),
                                             {2, 2, 1},
                                             {3, 2, 2},
                                             {4, 2, 2},
                                             {5, 3, 2},
                                             {6, 3, 2},
                                             {7, 3, 3},
                                             {12, 4, 3},
                                             {13, 4, 4}}) {
    const std::vector<Picture> pictures(static_cast<std::size_t>(count), busy_picture(6, 5));
    const Picture grid = picture_grid(pointers(pictures));
    EXPECT_EQ(std::pair(grid.width, grid.height), std::pair(columns * 6, rows * 5)) << count;
  }
}

TEST(PictureGrid, SmallerPicturesLieInTheMiddleOfTheirCells) {
  const std::vector<Picture> pictures = {busy_picture(8, 8), busy_picture(4, 2)};
  const Picture grid = picture_grid(pointers(pictures), 1);
  Picture wanted = Picture::blank(16, 8);
  paste(wanted, pictures[0], 0, 0);
  paste(wanted, pictures[1], 8 + 2, 3);
  EXPECT_EQ(grid, wanted);
}

TEST(PictureGrid, AMissingPictureLeavesItsCellBlack) {
  const std::vector<Picture> pictures = {busy_picture(8, 8), {.width = 0, .height = 0, .rgb = {}}};
  const Picture grid = picture_grid(pointers(pictures), 1);
  EXPECT_EQ(crop(grid, 8, 0, 8, 8), Picture::blank(8, 8, 0));
}

TEST(LabelledGrid, LabelsStandOverTheColumnsAndLeftOfTheRows) {
  const std::vector<Picture> pictures(6, busy_picture(64, 64));
  const GridLegend legend{
      .columns = {{{"one"}}, {{"two"}}, {{"three"}}}, .rows = {{{"up"}}, {{"down"}}}, .margin = 4};
  const Picture grid = labelled_grid(pointers(pictures), legend);
  const int left = 48, top = 20;  // three quarters of a cell; a line and the space around it
  EXPECT_EQ(grid.width, left + 3 * 64 + 2 * 4);
  EXPECT_EQ(grid.height, top + 2 * 64 + 4);
  for (int row = 0; row < 2; ++row)
    for (int column = 0; column < 3; ++column)
      EXPECT_EQ(crop(grid, left + column * 68, top + row * 68, 64, 64), pictures[0]);
  EXPECT_TRUE(is_white(crop(grid, left + 64, top, 4, 132))) << "the margin between two columns";
  EXPECT_TRUE(is_white(crop(grid, 0, 0, left, top))) << "the corner";
  // "one" is three letters of six pixels less the last space, in the middle of its column.
  Picture word = Picture::blank(64, top);
  write(word, "one", 32 - 17 / 2, 10 - 5, {.size = 1, .grey = 0});
  EXPECT_EQ(crop(grid, left, 0, 64, top), word);
  EXPECT_FALSE(is_white(crop(grid, 0, top + 68, left, 64)));
}

TEST(LabelledGrid, SidesWithoutWordsTakeNoRoom) {
  const std::vector<Picture> pictures(2, busy_picture(16, 16));
  const Picture grid = labelled_grid(pointers(pictures), {.columns = {{{""}}, {}}, .rows = {{{""}}}});
  EXPECT_EQ(grid, picture_grid(pointers(pictures), 1));
}

TEST(LabelledGrid, LargeCellsHaveLargeLettersAndWhatIsOffIsStruckThrough) {
  const std::vector<Picture> pictures(1, Picture::blank(512, 512));
  const auto drawn = [&](bool is_active) {
    return crop(labelled_grid(pointers(pictures), {.columns = {{{"l", is_active}}}, .rows = {{}}}), 0, 0, 512,
                80);
  };
  Picture wanted = Picture::blank(512, 80);
  write(wanted, "l", 256 - 10, 20, {.size = 4, .grey = 0});  // 1024 / 25 / 10 pixels a dot
  EXPECT_EQ(drawn(true), wanted);
  const Picture off = drawn(false);
  const auto strike = off.pixel(256 - 10, 20 + 13);
  EXPECT_EQ(strike[0], 153);
  EXPECT_TRUE(std::ranges::all_of(off.rgb, [](std::uint8_t level) { return level == 255 || level == 153; }));
}

}  // namespace
}  // namespace lowrank::image
