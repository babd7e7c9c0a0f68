// Kohya's dataset configuration, and the captions of other trainers.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "training/data/dataset.h"
#include "training/data/latent_cache.h"
#include "training/picture_folder.h"

namespace lowrank::training {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_example;
using testing::write_text;

class DatasetConfig : public ::testing::Test {
 protected:
  std::filesystem::path in(const std::string& name) const { return folder_.path() / name; }
  // `text` with @ for the folder.
  DatasetOptions config(std::string text, const std::string& name = "set.toml") const {
    for (std::size_t at; (at = text.find('@')) != std::string::npos;)
      text.replace(at, 1, folder_.path().string());
    write_text(in(name), text);
    return {.config = in(name), .buckets = {.resolution = {64, 64}}};
  }
  static std::string error_of(const DatasetOptions& wanted) {
    try {
      Dataset::open(wanted);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  TemporaryFolder folder_;
};

// The overlay of [general], dataset and subset as kohya's docs/config_README-en.md describes it.
TEST_F(DatasetConfig, TheNearestTableCounts) {
  write_example(in("one/a.png"), 64, 64, 1, "a, b");
  write_example(in("two/b.png"), 64, 64, 2, "");
  write_example(in("three/c.png"), 128, 64, 3, "c");
  write_example(in("reg/d.png"), 64, 64, 4, "");
  const Dataset data = Dataset::open(config(R"(
[general]
shuffle_caption = true
caption_extension = '.txt'
keep_tokens = 1
enable_bucket = true

[[datasets]]
resolution = 64
batch_size = 4
keep_tokens = 2

  [[datasets.subsets]]
  image_dir = '@/one'
  num_repeats = 3
  caption_prefix = 'p'
  flip_aug = true

  [[datasets.subsets]]
  image_dir = '@/two'
  class_tokens = 'red hare'
  keep_tokens = 3
  shuffle_caption = false
  caption_dropout_rate = 0.5

  [[datasets.subsets]]
  is_reg = true
  image_dir = '@/reg'
  class_tokens = 'hare'

[[datasets]]
resolution = [128, 64]
batch_size = 2
validation_split = 0.25
  [[datasets.subsets]]
  image_dir = '@/three'
)"));
  ASSERT_EQ(data.sets().size(), 2u);
  EXPECT_EQ(data.sets()[0].batch_size, 4);
  EXPECT_EQ(data.sets()[1].batch_size, 2);
  EXPECT_EQ(data.sets()[1].validation_split, 0.25);
  EXPECT_EQ(data.sets()[1].buckets.resolution, (PixelSize{128, 64}));
  ASSERT_EQ(data.subsets().size(), 4u);
  const auto& one = data.subsets()[0].plan;
  const auto& two = data.subsets()[1].plan;
  const auto& three = data.subsets()[3].plan;
  EXPECT_EQ(one.captions.keep_tokens, 2);
  EXPECT_EQ(two.captions.keep_tokens, 3);
  EXPECT_EQ(three.captions.keep_tokens, 1);
  EXPECT_TRUE(one.captions.shuffle);
  EXPECT_FALSE(two.captions.shuffle);
  EXPECT_TRUE(one.flip_aug);
  EXPECT_FALSE(two.flip_aug);
  EXPECT_EQ(one.captions.prefix, "p");
  EXPECT_EQ(two.captions.dropout_rate, 0.5);
  EXPECT_TRUE(data.subsets()[2].plan.is_regularisation);
  ASSERT_EQ(data.examples().size(), 4u);
  EXPECT_EQ(data.examples()[1].caption, "red hare");
  EXPECT_EQ(data.examples()[2].repeats, 4) << "as many regularisation pictures as others";
  EXPECT_EQ(data.trigger_phrase(), "red hare");
  EXPECT_EQ(data.pictures_per_epoch(), 3 + 1 + 4 + 1);
  // One bucket of eight in fours, and one of the second set.
  EXPECT_EQ(data.batches_per_epoch(), 2 + 1);
}

TEST_F(DatasetConfig, ValuesOfTheCommandAreTakenWhereTheFileSaysNothing) {
  write_example(in("one/a.png"), 64, 64, 1, "a, b");
  DatasetOptions wanted = config("[[datasets]]\n[[datasets.subsets]]\nimage_dir = '@/one'\n");
  wanted.batch_size = 3;
  wanted.captions.tag_dropout_rate = 0.1;
  wanted.flip_aug = true;
  const Dataset data = Dataset::open(wanted);
  EXPECT_EQ(data.sets()[0].batch_size, 3);
  EXPECT_EQ(data.sets()[0].buckets.resolution, (PixelSize{64, 64}));
  EXPECT_EQ(data.subsets()[0].plan.captions.tag_dropout_rate, 0.1);
  EXPECT_TRUE(data.subsets()[0].plan.flip_aug);
}

TEST_F(DatasetConfig, JsonSaysTheSameAsToml) {
  write_example(in("one/a.png"), 64, 64, 1, "a");
  const Dataset data = Dataset::open(config(
      R"({"general": {"keep_tokens": 2}, "datasets": [{"subsets": [{"image_dir": "@/one", "num_repeats": 5}]}]})",
      "set.json"));
  EXPECT_EQ(data.pictures_per_epoch(), 5);
  EXPECT_EQ(data.subsets()[0].plan.captions.keep_tokens, 2);
}

TEST_F(DatasetConfig, AllFaultsOfTheFileAreToldAtOnceAndByName) {
  const std::string told = error_of(config(R"(
[generall]
[general]
keep_token = 1
image_dir = 'x'
face_crop_aug_range = [1.0, 2.0]
[[datasets]]
batch_size = "four"
resolution = [1, 2, 3]
[[datasets.subsets]]
image_dir = '@/nowhere'
batch_size = 2
num_repeats = 0
caption_dropout_rate = 1.5
is_reg = 1
[[datasets.subsets]]
class_tokens = 'x'
)"));
  for (const char* part :
       {"generall is unknown", "keep_token is unknown", "image_dir belongs in [[datasets.subsets]]",
        "face_crop_aug_range needs a face detector", "batch_size is \"four\", but must be a whole number",
        "resolution is [1,2,3]", "/nowhere, but there is no such folder",
        "dataset 1, subset 1: batch_size belongs in [[datasets]]", "num_repeats is 0",
        "caption_dropout_rate is 1.5", "is_reg is 1, but must be true or false",
        "subset 2: image_dir is missing"})
    EXPECT_THAT(told, HasSubstr(part));
  EXPECT_THAT(error_of(config("[general\n")), AllOf(HasSubstr("set.toml: line 1"), HasSubstr("column")));
  EXPECT_THAT(error_of(config("general = 1")), HasSubstr("[general]: it must be a table"));
  EXPECT_THAT(error_of(config("")), HasSubstr("[[datasets]]"));
  EXPECT_THAT(error_of({.config = in("no.toml")}), HasSubstr("no.toml: no such file"));
}

TEST_F(DatasetConfig, AllFaultsOfThePicturesAreToldAtOnce) {
  write_example(in("set/1_x/a.png"), 64, 64, 1, "");
  write_text(in("set/1_x/a.txt"), "caf\xe9");
  write_text(in("set/1_x/b.png"), "no picture");
  write_text(in("set/1_x/b.txt"), "b");
  write_example(in("set/1_/c.png"), 64, 64, 1, "");
  write_example(in("set/foxes/d.png"), 64, 64, 1, "d");
  write_text(in("set/1_none/e.txt"), "e");
  const std::string told = error_of({.folder = in("set"), .buckets = {.resolution = {64, 64}}});
  for (const char* part : {"a.txt: byte 4", "b.png", "c.png: the picture has no caption",
                           "foxes: the folder's name", "1_none: the folder contains no pictures"})
    EXPECT_THAT(told, HasSubstr(part));
}

TEST_F(DatasetConfig, MetadataOfHuggingFaceAndOfKohyaAreRead) {
  for (const char* name : {"a", "b", "c"})
    write_example(in("flat/" + std::string(name) + ".png"), 64, 64, 1, "");
  // https://huggingface.co/docs/datasets/image_dataset: file_name, and the caption as another column.
  write_text(in("flat/metadata.jsonl"),
             "{\"file_name\": \"a.png\", \"text\": \"a fox\"}\n\n{\"file_name\": \"b.png\", \"text\": \"a "
             "h\\u00e4re\"}\n");
  const Dataset flat = Dataset::open({.folder = in("flat"), .buckets = {.resolution = {64, 64}}});
  ASSERT_EQ(flat.examples().size(), 2u);
  EXPECT_EQ(flat.examples()[0].caption, "a fox");
  EXPECT_EQ(flat.examples()[1].caption, "a häre");
  EXPECT_THAT(flat.notes(), Contains(HasSubstr("1 picture of")));
  // kohya: captions and tags under the picture's name; the tags follow the caption.
  write_text(in("meta.json"),
             R"({"a.png": {"caption": "a fox", "tags": "red, snow"}, "c": {"tags": "night"}})");
  const Dataset kohya =
      Dataset::open(config("[[datasets]]\n[[datasets.subsets]]\nimage_dir = '@/flat'\nmetadata_file = "
                           "'@/meta.json'\nnum_repeats = 2\n"));
  ASSERT_EQ(kohya.examples().size(), 2u);
  EXPECT_EQ(kohya.examples()[0].caption, "a fox,red, snow");
  EXPECT_EQ(kohya.examples()[1].caption, "night");
  EXPECT_EQ(kohya.pictures_per_epoch(), 4);
  write_text(in("flat/metadata.jsonl"),
             "{\"file_name\": \"a.png\"\n{\"text\": \"x\"}\n{\"file_name\": \"z.png\", \"text\": \"x\"}\n");
  const std::string told = error_of({.folder = in("flat"), .buckets = {.resolution = {64, 64}}});
  for (const char* part : {"line 1 is no JSON object", "line 2 names no picture", "z.png is not there"})
    EXPECT_THAT(told, HasSubstr(part));
}

TEST_F(DatasetConfig, PicturesOfOneFolderAreTrainedOnAsOtherTrainersKeepThem) {
  write_example(in("flat/a.png"), 64, 64, 1, "a fox");
  write_example(in("flat/b.png"), 64, 64, 2, "");
  write_text(in("flat/b.json"), R"({"caption": "from json"})");
  write_example(in("flat/a-masklabel.png"), 64, 64, 3, "");
  EXPECT_THAT(error_of({.folder = in("flat"), .buckets = {.resolution = {64, 64}}}), HasSubstr("b.png"));
  write_text(in("flat/b.txt"), "b");
  const Dataset data = Dataset::open({.folder = in("flat"), .buckets = {.resolution = {64, 64}}});
  EXPECT_EQ(data.examples().size(), 2u) << "a mask is no picture to train on";
  EXPECT_THAT(data.notes(), Contains(HasSubstr("--masked-loss")));
  EXPECT_THAT(data.notes(), Contains(HasSubstr("each once per epoch")));
  const Dataset masked =
      Dataset::open({.folder = in("flat"), .buckets = {.resolution = {64, 64}}, .masked_loss = true});
  EXPECT_EQ(masked.examples()[0].mask.filename(), "a-masklabel.png");
  EXPECT_TRUE(masked.examples()[1].mask.empty());
  EXPECT_NE(masked.fingerprint(), data.fingerprint());
  std::filesystem::remove(in("flat/a.txt"));
  write_text(in("flat/a.json"), R"({"caption": "a json fox"})");
  const Dataset json = Dataset::open(
      {.folder = in("flat"), .caption_extension = ".json", .buckets = {.resolution = {64, 64}}});
  EXPECT_EQ(json.examples()[0].caption, "a json fox");
  EXPECT_EQ(json.examples()[1].caption, "from json");
}

TEST_F(DatasetConfig, MasksMustBeThereAndFit) {
  write_example(in("one/a.png"), 64, 64, 1, "a");
  write_example(in("one/b.png"), 64, 32, 2, "b");
  write_example(in("masks/a.png"), 32, 32, 1, "");
  const auto wanted =
      config("[[datasets]]\n[[datasets.subsets]]\nimage_dir = '@/one'\nconditioning_data_dir = '@/masks'\n");
  EXPECT_THAT(error_of(wanted), HasSubstr("b.png: has no mask of its name"));
  write_example(in("masks/b.jpg"), 64, 64, 1, "");
  EXPECT_THAT(error_of(wanted), HasSubstr("the mask is 64x64, but its picture b.png is 64x32"));
  write_example(in("masks/b.jpg"), 128, 64, 1, "");
  EXPECT_EQ(Dataset::open(wanted).examples()[0].mask, in("masks/a.png"));
  EXPECT_THAT(error_of({.folder = in("one"), .buckets = {.resolution = {64, 64}}, .masked_loss = true}),
              HasSubstr("--masked-loss: no picture has a mask"));
}

TEST_F(DatasetConfig, WildcardsSeeAllLinesOfACaption) {
  write_example(in("1_x/a.png"), 64, 64, 1, "a fox\n\n  a hare \n");
  DatasetOptions wanted{.folder = in(""), .buckets = {.resolution = {64, 64}}};
  wanted.captions.wildcards = true;
  const Dataset data = Dataset::open(wanted);
  EXPECT_EQ(data.examples()[0].caption, "a fox\na hare");
  EXPECT_TRUE(data.notes().empty());
}

TEST_F(DatasetConfig, AnotherTreatmentOfThePicturesIsSeen) {
  write_example(in("one/a.png"), 64, 64, 1, "a");
  const std::string head = "[[datasets]]\n[[datasets.subsets]]\nimage_dir = '@/one'\n";
  std::set<std::string> prints;
  for (const char* tail : {"", "num_repeats = 2\n", "shuffle_caption = true\n", "caption_suffix = 'x'\n",
                           "flip_aug = true\n", "caption_tag_dropout_rate = 0.1\n"})
    prints.insert(Dataset::open(config(head + tail)).fingerprint());
  EXPECT_EQ(prints.size(), 6u);
}

}  // namespace
}  // namespace lowrank::training
