// Where things stand on a contact sheet, and the letters below them.
#include <gtest/gtest.h>

#include <set>

#include "image/font.h"
#include "image/picture_files.h"

namespace lowrank::image {
namespace {

// Rows of '#' and '.' of a rectangle: '#' where the sheet is not white.
std::vector<std::string> drawing(const Picture& sheet, int left, int top, int width, int height) {
  std::vector<std::string> rows;
  for (int y = top; y < top + height; ++y) {
    rows.emplace_back();
    for (int x = left; x < left + width; ++x) rows.back() += sheet.pixel(x, y)[0] == 255 ? '.' : '#';
  }
  return rows;
}

TEST(ContactSheet, CellsStandInRowsWithMarginsOfEight) {
  std::vector<SheetCell> cells;
  for (int i = 0; i < 5; ++i) cells.push_back({busy_picture(20, 16), ""});
  const Picture sheet = contact_sheet(cells, 3);
  EXPECT_EQ(sheet.width, 3 * (20 + 8) + 8);
  EXPECT_EQ(sheet.height, 2 * (16 + 8) + 8);
  Picture wanted = Picture::blank(sheet.width, sheet.height);
  for (const auto& [x, y] : {std::pair(8, 8), {36, 8}, {64, 8}, {8, 32}, {36, 32}})
    paste(wanted, cells[0].picture, x, y);
  EXPECT_EQ(sheet, wanted);
}

TEST(ContactSheet, TheLargestPictureSetsTheCell) {
  const Picture sheet = contact_sheet({{busy_picture(4, 30), ""}, {busy_picture(25, 6), ""}}, 2);
  EXPECT_EQ(sheet.width, 2 * (25 + 8) + 8);
  EXPECT_EQ(sheet.height, 30 + 8 + 8);
  EXPECT_EQ(crop(sheet, 8, 8, 4, 30), busy_picture(4, 30));
  EXPECT_EQ(crop(sheet, 8 + 33, 8, 25, 6), busy_picture(25, 6));
}

TEST(ContactSheet, CaptionsAreReadable) {
  const Picture sheet = contact_sheet({{Picture::blank(40, 10), "Fi"}}, 1);
  EXPECT_EQ(drawing(sheet, 8, 21, 12, 7),
            (std::vector<std::string>{"#####...#...", "#...........", "#......##...", "####....#...",
                                      "#.......#...", "#.......#...", "#......###.."}));
}

TEST(ContactSheet, CaptionsWrapAtTheCellsWidth) {
  const auto height = [](const std::string& caption) {
    return contact_sheet({{Picture::blank(36, 10), caption}}, 1).height;
  };
  const int none = 10 + 16, line = 10;  // six letters a line
  EXPECT_EQ(height(""), none);
  EXPECT_EQ(height("red"), none + line);
  EXPECT_EQ(height("redfox"), none + line);
  EXPECT_EQ(height("red fox"), none + 2 * line);
  EXPECT_EQ(height("a b c d"), none + 2 * line);
  EXPECT_EQ(height("redfoxred"), none + 2 * line);  // a long word is cut
  EXPECT_EQ(height("   red   \n\n"), none + line);
  // A longer caption of one cell moves the next row for all.
  EXPECT_EQ(contact_sheet({{Picture::blank(36, 10), "red fox"}, {Picture::blank(36, 10), ""}}, 1).height,
            2 * (10 + 8 + 20) + 8);
}

TEST(ContactSheet, CaptionsStayInTheirCells) {
  const std::string text(40, 'W');
  const Picture sheet = contact_sheet({{Picture::blank(37, 5), text}, {Picture::blank(37, 5), ""}}, 2);
  for (int y = 0; y < sheet.height; ++y) {
    for (int x = 0; x < sheet.width; ++x) {
      if (x < 8 || x >= 8 + 37) {
        ASSERT_EQ(sheet.pixel(x, y)[0], 255) << x << ' ' << y;
      }
    }
  }
  EXPECT_NO_THROW(contact_sheet({{Picture::blank(2, 2), "narrow"}}, 1));
}

TEST(ContactSheet, ACharacterWithoutALetterShowsOneQuestionMark) {
  const auto sheet = [](const std::string& caption) {
    return contact_sheet({{Picture::blank(60, 5), caption}}, 1);
  };
  EXPECT_EQ(sheet("caf\xC3\xA9 \xF0\x9F\xA6\x8A!"), sheet("caf? ?!"));
  EXPECT_EQ(sheet("a\tb"), sheet("a b"));
}

TEST(Font, EveryPrintableCharacterHasItsOwnLetter) {
  std::set<Glyph> letters;
  for (char c = ' '; c <= '~'; ++c) {
    EXPECT_TRUE(letters.insert(glyph(c)).second) << c;
    for (const auto column : glyph(c)) EXPECT_LT(column, 0x80) << c;
  }
  EXPECT_EQ(glyph(' '), Glyph{});
  for (const char c : {'\0', '\n', '\x7f', '\xe9'}) EXPECT_EQ(glyph(c), glyph('?'));
}

}  // namespace
}  // namespace lowrank::image
