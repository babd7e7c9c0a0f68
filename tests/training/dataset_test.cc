#include "training/data/dataset.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "training/data/picture_file.h"
#include "training/picture_folder.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_example;
using testing::write_text;

class DatasetTest : public ::testing::Test {
 protected:
  DatasetOptions options(std::int64_t batch = 1) const {
    return {.folder = folder_.path(), .buckets = {.resolution = {64, 64}}, .batch_size = batch};
  }
  std::string error_of(const DatasetOptions& wanted) const {
    try {
      Dataset::open(wanted);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::filesystem::path in(const std::string& name) const { return folder_.path() / name; }
  TemporaryFolder folder_;
};

TEST_F(DatasetTest, ReadsRepeatsTriggersCaptionsAndAllThreeFormats) {
  write_example(in("10_red fox/b.png"), 64, 64, 1, "red fox, snow");
  write_example(in("10_red fox/a.jpg"), 64, 48, 2, "");
  write_example(in("3_hare/c.webp"), 32, 64, 3, "");
  write_text(in("3_hare/c.caption"), "  a hare  \nsecond line");
  const Dataset data = Dataset::open(options());
  ASSERT_EQ(data.subsets().size(), 2u);
  EXPECT_EQ(data.subsets()[0].repeats, 10);
  EXPECT_EQ(data.subsets()[0].trigger, "red fox");
  EXPECT_EQ(data.subsets()[0].pictures, 2);
  ASSERT_EQ(data.examples().size(), 3u);
  EXPECT_EQ(data.examples()[0].caption, "red fox") << "a missing caption becomes the trigger words";
  EXPECT_EQ(data.examples()[0].size, (PixelSize{64, 48}));
  EXPECT_EQ(data.examples()[1].caption, "red fox, snow");
  EXPECT_EQ(data.examples()[2].caption, "a hare");
  EXPECT_EQ(data.pictures_per_epoch(), 23);
  EXPECT_EQ(data.trigger_phrase(), "red fox, hare");
}

TEST_F(DatasetTest, NothingOfACaptionIsLostInSilence) {
  write_example(in("1_x/a.png"), 64, 64, 1, "\n\na fox\nin snow\n");
  write_example(in("1_x/b.png"), 64, 64, 2, "a hare\r\n\r\n");
  const Dataset data = Dataset::open(options());
  EXPECT_EQ(data.examples()[0].caption, "a fox") << "blank lines are no caption";
  EXPECT_EQ(data.examples()[1].caption, "a hare");
  EXPECT_THAT(data.notes(), ElementsAre(AllOf(HasSubstr("a.png"), HasSubstr("only the first line"))));
  // The caption of c is not there, but it was meant to be.
  write_example(in("1_x/c.png"), 64, 64, 3, "");
  std::filesystem::create_symlink("nowhere.txt", in("1_x/c.txt"));
  EXPECT_THAT(error_of(options()), HasSubstr("c.txt"));
  std::filesystem::remove(in("1_x/c.txt"));
  std::filesystem::create_directory(in("1_x/c.txt"));
  EXPECT_THAT(error_of(options()), HasSubstr("c.txt"));
}

TEST_F(DatasetTest, FoldersOfTheSystemAreNoPartOfIt) {
  write_example(in("1_x/a.png"), 64, 64, 1, "a fox");
  for (const char* name : {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir", ".Trash-1000"})
    write_text(in(std::string(name) + "/x.png"), "no picture");
  EXPECT_EQ(Dataset::open(options()).examples().size(), 1u);
}

TEST_F(DatasetTest, CaptionsInOtherEncodingsAreReadOrRefused) {
  using namespace std::string_literals;
  write_example(in("1_x/a.png"), 64, 64, 1, "");
  write_example(in("1_x/b.png"), 64, 64, 2, "");
  write_text(in("1_x/a.txt"),
             "\xff\xfe"
             "f\0\xfc\0\n\0z\0"s);
  write_text(in("1_x/b.TXT"), "old line ends\rsecond line");
  EXPECT_EQ(Dataset::open(options()).examples()[0].caption, "fü");
  EXPECT_EQ(Dataset::open(options()).examples()[1].caption, "old line ends");
  write_text(in("1_x/a.txt"), "caf\xe9");
  EXPECT_THAT(error_of(options()),
              ::testing::AllOf(HasSubstr("a.txt: byte 4"), HasSubstr("--caption-encoding")));
  DatasetOptions wanted = options();
  wanted.caption_encoding = "cp1252";
  EXPECT_EQ(Dataset::open(wanted).examples()[0].caption, "café");
  write_text(in("1_x/a.txt"), "\x8c\xcf");
  wanted.caption_encoding = "cp932";
  EXPECT_EQ(Dataset::open(wanted).examples()[0].caption, "狐");
  write_text(in("1_x/b.txt"), "the one that counts");
  const Dataset both = Dataset::open(wanted);
  EXPECT_EQ(both.examples()[1].caption, "the one that counts");
  EXPECT_THAT(both.notes(), ElementsAre(HasSubstr("b.TXT is ignored")));
  write_example(in("1_caf\xe9/a.png"), 64, 64, 1, "x");
  EXPECT_THAT(error_of(wanted), HasSubstr("trigger words in the folder's name: byte 4"));
}

TEST_F(DatasetTest, AnEpochShowsEveryPictureAsOftenAsItsFolderSaysAndBatchesShareABucket) {
  for (int i = 0; i < 5; ++i) write_example(in("3_a/" + std::to_string(i) + ".png"), 64, 64, i, "x");
  for (int i = 0; i < 3; ++i) write_example(in("7_b/" + std::to_string(i) + ".png"), 128, 32, i, "y");
  DatasetOptions wanted = options(4);
  wanted.buckets.enable = true;
  const Dataset data = Dataset::open(wanted);
  ASSERT_EQ(data.buckets().size(), 2u);
  EXPECT_EQ(data.batches_per_epoch(), 4 + 6);  // 15 and 21 pictures in fours
  const auto epoch = data.epoch(1, 0);
  EXPECT_EQ(epoch, data.epoch(1, 0));
  EXPECT_NE(epoch, data.epoch(1, 1));
  EXPECT_NE(epoch, data.epoch(2, 0));
  std::map<std::size_t, int> shown;
  for (const auto& batch : epoch) {
    EXPECT_LE(batch.size(), 4u);
    std::set<PixelSize> sizes;
    for (const auto i : batch) {
      ++shown[i];
      sizes.insert(data.examples()[i].place.bucket);
    }
    EXPECT_EQ(sizes.size(), 1u);
  }
  for (const auto& [i, count] : shown) EXPECT_EQ(count, data.subsets()[data.examples()[i].subset].repeats);
  EXPECT_EQ(shown.size(), 8u);
}

TEST_F(DatasetTest, FaultsNameTheirFile) {
  EXPECT_THAT(error_of({.folder = in("nowhere")}), HasSubstr("nowhere"));
  EXPECT_THAT(error_of(options()), HasSubstr("N_TRIGGER"));
  write_example(in("foxes/a.png"), 64, 64, 1, "x");
  EXPECT_THAT(error_of(options()), HasSubstr("/foxes: the folder's name must be N_TRIGGER"));
  std::filesystem::remove_all(in("foxes"));
  std::filesystem::create_directories(in("4_empty"));
  EXPECT_THAT(error_of(options()), HasSubstr("4_empty: the folder contains no pictures"));
  write_text(in("4_empty/bad.png"), "this is no picture");
  EXPECT_THAT(error_of(options()), HasSubstr("bad.png"));
  std::filesystem::remove_all(in("4_empty"));
  write_example(in("4_/dumb.png"), 64, 64, 1, "");
  EXPECT_THAT(error_of(options()), HasSubstr("dumb.png: the picture has no caption"));
  std::filesystem::remove_all(in("4_"));
  write_example(in("loose.png"), 64, 64, 1, "x");
  write_example(in("4_x/a.png"), 64, 64, 1, "x");
  EXPECT_THAT(error_of(options()), HasSubstr("loose.png"));
  std::filesystem::remove_all(in("4_x"));
  for (const char* name : {"0_x", "-1_x", "1.5_x", "99999999999_x", "_x"}) {
    std::filesystem::remove_all(in("loose.png"));
    write_example(in(std::string(name) + "/a.png"), 64, 64, 1, "x");
    EXPECT_THAT(error_of(options()), HasSubstr("must be N_TRIGGER")) << name;
    std::filesystem::remove_all(in(name));
  }
}

TEST_F(DatasetTest, WhatIsLeftOutIsTold) {
  write_example(in("1_a/p.png"), 64, 64, 1, "x");
  write_text(in("1_a/orphan.txt"), "no picture");
  write_text(in("1_a/movie.mp4"), "GIF89a");
  const Dataset data = Dataset::open(options());
  EXPECT_THAT(data.notes(), ::testing::UnorderedElementsAre(HasSubstr("movie.mp4"), HasSubstr("orphan")));
}

// Stored 16×8 and to be held by its side (EXIF 6): training sees 8×16.
TEST_F(DatasetTest, PicturesAreSeenAsTheyAreHeld) {
  const std::string forms = std::string(LOWRANK_TEST_FIXTURES) + "/image/forms/";
  std::filesystem::create_directories(in("1_a"));
  std::filesystem::copy_file(forms + "held-6.jpg", in("1_a/held.jpg"));
  std::filesystem::copy_file(forms + "held-1.jpg", in("1_a/plain.jpg"));
  std::filesystem::copy_file(forms + "rgb.bmp", in("1_a/map.BMP"));
  std::filesystem::copy_file(forms + "cmyk.jpg", in("1_a/inks.jpg"));
  for (const char* name : {"held", "plain", "map", "inks"})
    write_text(in("1_a/" + std::string(name) + ".txt"), "x");
  const Dataset data = Dataset::open(options());
  ASSERT_EQ(data.examples().size(), 4u);
  EXPECT_EQ(data.examples()[0].size, (PixelSize{8, 16}));  // held.jpg, stored 16×8
  EXPECT_EQ(data.examples()[1].size, (PixelSize{64, 8}));  // inks.jpg
  EXPECT_EQ(data.examples()[2].size, (PixelSize{11, 7}));  // map.BMP
  EXPECT_EQ(data.examples()[3].size, (PixelSize{16, 8}));  // plain.jpg
}

TEST_F(DatasetTest, TheFingerprintChangesWithWhatTrainingSees) {
  write_example(in("1_a/p.png"), 64, 64, 1, "x");
  const std::string before = Dataset::open(options()).fingerprint();
  EXPECT_EQ(Dataset::open(options()).fingerprint(), before);
  write_text(in("1_a/p.txt"), "y");
  const std::string captioned = Dataset::open(options()).fingerprint();
  EXPECT_NE(captioned, before);
  write_example(in("1_a/p.png"), 64, 64, 2, "y");
  EXPECT_NE(Dataset::open(options()).fingerprint(), captioned) << "another picture of the same size";
}

TEST_F(DatasetTest, PicturesAreResizedAndCutInTheMiddle) {
  image::Picture wide = image::Picture::blank(256, 64, 0);
  for (int y = 0; y < 64; ++y)
    for (int x = 96; x < 160; ++x) wide.pixel(x, y)[1] = 255;
  image::save_picture(in("wide.png"), wide, {});
  const BucketChooser chooser({.resolution = {32, 32}});
  const at::Tensor picture = load_picture(in("wide.png"), chooser.choose({256, 64}));
  ASSERT_EQ(picture.sizes(), (std::vector<std::int64_t>{3, 32, 32}));
  // The middle 64 of 256 pixels are green: all but the ringing edge columns of the cut.
  EXPECT_GE(picture[1].narrow(1, 2, 28).min().item<int>(), 250);
  EXPECT_EQ(picture[0].max().item<int>(), 0);
}

TEST(Captions, TagsAreTrimmedAndShuffledBehindTheKeptOnes) {
  EXPECT_THAT(caption_tags(" a , b,, c d ,"), ElementsAre("a", "b", "c d"));
  std::set<std::string> seen;
  for (int step = 0; step < 60; ++step) {
    const std::string drawn =
        draw_caption("first, second, x, y, z", {.shuffle = true, .keep_tokens = 2}, step_generator(1, step));
    auto tags = caption_tags(drawn);
    ASSERT_EQ(tags.size(), 5u);
    EXPECT_EQ(tags[0], "first");
    EXPECT_EQ(tags[1], "second");
    std::sort(tags.begin() + 2, tags.end());
    EXPECT_THAT(tags, ElementsAre("first", "second", "x", "y", "z"));
    seen.insert(drawn);
  }
  EXPECT_EQ(seen.size(), 6u) << "all orders of three loose tags occur";
}

TEST(Captions, DropoutEmptiesItsShareOfCaptions) {
  int empty = 0;
  for (int step = 0; step < 2000; ++step)
    empty += draw_caption("a fox", {.dropout_rate = 0.1}, step_generator(5, step)).empty() ? 1 : 0;
  // Binomial, mean 200, deviation 13.4: five deviations.
  EXPECT_NEAR(empty, 200, 67);
  EXPECT_EQ(draw_caption("a, b", {}, step_generator(5, 0)), "a, b");
}

}  // namespace
}  // namespace lowrank::training
