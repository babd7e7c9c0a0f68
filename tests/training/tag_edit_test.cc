#include "training/data/tag_edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "base/error.h"
#include "training/picture_folder.h"

namespace lowrank::training {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_example;
using testing::write_text;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(TagEditing, TagsAreReplacedRemovedAddedAndMovedToTheFront) {
  EXPECT_EQ(edited_caption("fox, Grey, snow", {.replaced = {{"grey", "gray"}}}), "fox, gray, snow");
  EXPECT_EQ(edited_caption("a, b, a", {.replaced = {{"a", "x, y"}}}), "x, y, b");
  EXPECT_EQ(edited_caption("grey fox, snow", {.replaced = {{"grey", "gray"}}}), "grey fox, snow")
      << "whole tags only";
  EXPECT_EQ(edited_caption("fox, Watermark, snow", {.removed = {"watermark"}}), "fox, snow");
  EXPECT_EQ(edited_caption("fox, style x, snow", {.prefix = {"Style X", "new"}}), "Style X, new, fox, snow");
  EXPECT_EQ(edited_caption("fox, snow", {.suffix = {"snow", "night"}}), "fox, snow, night");
  EXPECT_EQ(edited_caption("b, a, B, c", {.drops_repeated = true}), "b, a, c");
  EXPECT_EQ(edited_caption("c, a, B", {.prefix = {"z"}, .sorts = true}), "z, a, B, c");
  EXPECT_EQ(edited_caption("a fox,  in snow ", {}), "a fox,  in snow ") << "nothing asked, nothing changed";
  const TagEdit edit{.replaced = {{"a", "b"}}, .prefix = {"p"}, .suffix = {"s"}, .drops_repeated = true};
  const std::string once = edited_caption("a, b, c", edit);
  EXPECT_EQ(edited_caption(once, edit), once) << "a second time changes nothing";
}

TEST(TagEditing, NamesBecomeCaptions) {
  const std::pair<const char*, const char*> cases[] = {{"red-fox_snow_003.png", "red fox, snow"},
                                                       {"a fox, in snow (2).jpg", "a fox, in snow"},
                                                       {"IMG_1234.JPG", ""},
                                                       {"fox.png", "fox"},
                                                       {"fox_fox_2.png", "fox"},
                                                       {"2girls_hat.png", "2girls, hat"},
                                                       {"long_hair, blue_eyes.png", "long hair, blue eyes"},
                                                       {"füchse_schnee.webp", "füchse, schnee"}};
  for (const auto& [name, caption] : cases) EXPECT_EQ(caption_from_name(name), caption) << name;
}

TEST(TagEditing, FilesAreWrittenAllOrNoneAndKeepTheirOtherLines) {
  TemporaryFolder folder;
  const auto in = [&](const char* name) { return folder.path() / name; };
  write_example(in("1_x/a.png"), 16, 16, 1, "fox, snow\nsecond line\n");
  write_example(in("1_x/b.png"), 16, 16, 2, "");
  write_example(in("1_x/a-masklabel.png"), 16, 16, 2, "");
  write_text(in("1_x/b.txt"), std::string("\xff\xfe"
                                          "f\0o\0x\0",
                                          8));
  write_example(in("2_y/c.png"), 16, 16, 3, "");
  const auto pictures = pictures_below(folder.path(), "", "");
  ASSERT_EQ(pictures.size(), 3u);
  EXPECT_EQ(pictures[1].caption, "fox");
  EXPECT_FALSE(pictures[2].caption);
  EXPECT_THAT(common_front(pictures), ElementsAre("fox"));
  write_captions({{&pictures[0], "hare, snow"}, {&pictures[1], "hare"}, {&pictures[2], "new"}});
  EXPECT_EQ(text_of(in("1_x/a.txt")), "hare, snow\nsecond line\n");
  EXPECT_EQ(text_of(in("1_x/b.txt")), "hare\n");
  EXPECT_EQ(text_of(in("2_y/c.txt")), "new\n");
  // The second cannot be written: a folder stands in its place.
  const auto again = pictures_below(folder.path(), "", "");
  std::filesystem::remove(in("1_x/b.txt"));
  std::filesystem::create_directories(in("1_x/b.txt/full"));
  EXPECT_THROW(write_captions({{&again[0], "lost"}, {&again[1], "x"}}), std::exception);
  EXPECT_EQ(text_of(in("1_x/a.txt")), "hare, snow\nsecond line\n");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
}

}  // namespace
}  // namespace lowrank::training
