// Captions, buckets, regularisation pictures and masks against what kohya's own functions do with them.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "training/data/augmentation.h"
#include "training/data/dataset.h"
#include "training/data/picture_file.h"
#include "training/picture_folder.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;
using testing::write_example;

const json& kohya() {
  static const json all =
      json::parse(std::ifstream(std::string(LOWRANK_TEST_FIXTURES) + "/training/kohya-data.json"));
  return all;
}

CaptionOptions options_of(const json& given) {
  CaptionOptions o;
  o.prefix = given.value("caption_prefix", "");
  o.suffix = given.value("caption_suffix", "");
  o.dropout_rate = given.value("caption_dropout_rate", 0.0);
  o.dropout_every_n_epochs = given.value("caption_dropout_every_n_epochs", 0);
  o.wildcards = given.value("enable_wildcard", false);
  o.shuffle = given.value("shuffle_caption", false);
  o.separator = given.value("caption_separator", ",");
  o.keep_tokens = given.value("keep_tokens", 0);
  o.keep_separator = given.value("keep_tokens_separator", "");
  o.tag_dropout_rate = given.value("caption_tag_dropout_rate", 0.0);
  o.token_warmup_min = given.value("token_warmup_min", 1);
  o.token_warmup_step = given.value("token_warmup_step", 0.0);
  o.secondary_separator = given.value("secondary_separator", "");
  return o;
}

// Every text that can come does, nothing else, and as often as it should.
TEST(KohyaData, CaptionsBecomeTheSameTextsAsOften) {
  constexpr int kDraws = 1500;
  for (const json& one : kohya()["captions"]) {
    SCOPED_TRACE(one.dump());
    const CaptionOptions options = options_of(one["options"]);
    const CaptionMoment moment{one["epoch"].get<std::int64_t>() - 1, one["step"], one["steps"]};
    const auto expected = one["outcomes"].get<std::map<std::string, double>>();
    std::map<std::string, int> drawn;
    for (int draw = 0; draw < kDraws; ++draw)
      ++drawn[draw_caption(one["caption"], options, step_generator(3, draw), moment)];
    for (const auto& [text, count] : drawn) EXPECT_TRUE(expected.contains(text)) << "'" << text << "'";
    for (const auto& [text, share] : expected)
      // Binomial: five deviations.
      EXPECT_NEAR(drawn[text], kDraws * share, 5 * std::sqrt(kDraws * share * (1 - share)) + 1e-9)
          << "'" << text << "'";
    if (is_fixed(options)) {
      EXPECT_EQ(expected.size(), 1u);
      EXPECT_EQ(plain_caption(one["caption"], options), expected.begin()->first);
    }
  }
}

TEST(KohyaData, PicturesComeIntoTheSameBuckets) {
  for (const json& one : kohya()["buckets"]) {
    const BucketOptions options{.resolution = {one["resolution"][0], one["resolution"][1]},
                                .enable = true,
                                .no_upscale = one["no_upscale"],
                                .min_side = one["min"].get<std::int64_t>(),
                                .max_side = one["max"].get<std::int64_t>(),
                                .step = one["step"].get<std::int64_t>()};
    const BucketChooser chooser(options);
    for (const json& p : one["pictures"]) {
      const BucketChoice choice = chooser.choose({p[0], p[1]});
      EXPECT_EQ(choice.bucket, (PixelSize{p[2], p[3]})) << one["resolution"] << " " << p;
      EXPECT_EQ(choice.resized, (PixelSize{p[4], p[5]})) << one["resolution"] << " " << p;
    }
  }
}

TEST(KohyaData, RegularisationPicturesAreShownAsOften) {
  for (const json& one : kohya()["regularisation"]) {
    TemporaryFolder folder;
    const auto name = [&](const std::string& text) { return folder.path() / text; };
    const std::string trained = "train/" + std::to_string(one["trained"].get<int>()) + "_a";
    write_example(name(trained + "/x.png"), 64, 64, 1, "x");
    // One picture a folder, in the order of their names.
    for (std::size_t i = 0; i < one["repeats"].size(); ++i)
      write_example(
          name(fmt::format("reg/{}_{}/x.png", one["repeats"][i].get<int>(), static_cast<char>('a' + i))), 64,
          64, 2, "y");
    const Dataset data = Dataset::open(
        {.folder = name("train"), .regularisation = name("reg"), .buckets = {.resolution = {64, 64}}});
    std::vector<int> shown;
    for (const auto& example : data.examples())
      if (data.subsets()[example.subset].plan.is_regularisation)
        shown.push_back(static_cast<int>(example.repeats));
    EXPECT_EQ(shown, one["shown"].get<std::vector<int>>()) << one;
    std::size_t in_epoch = 0;
    for (const auto& batch : data.epoch(1, 0)) in_epoch += batch.size();
    EXPECT_EQ(static_cast<std::int64_t>(in_epoch), data.pictures_per_epoch());
  }
}

TEST(KohyaData, MasksWeighTheLossAlike) {
  const json& mask = kohya()["mask"];
  image::Picture picture = image::Picture::blank(mask["width"], mask["height"]);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = i % 3 == 0 ? mask["grey"][i / 3].get<std::uint8_t>() : 77;
  TemporaryFolder folder;
  image::save_picture(folder.path() / "mask.png", picture, {});
  const at::Tensor weights =
      load_loss_mask(folder.path() / "mask.png", MaskSource::kRed, {{24, 16}, {24, 16}, 0}, {});
  ASSERT_EQ(weights.sizes(), (std::vector<std::int64_t>{2, 3}));
  for (int i = 0; i < 6; ++i)
    EXPECT_NEAR(weights.flatten()[i].item<double>(),
                mask["weights"][static_cast<std::size_t>(i)].get<double>(), 1e-6);
}

TEST(KohyaData, HuesTurnAsInPythonsColorsys) {
  for (const json& one : kohya()["hues"]) {
    at::Tensor picture = at::empty({3, 1, 1}, at::kByte);
    for (int c = 0; c < 3; ++c) picture[c][0][0] = one["colour"][static_cast<std::size_t>(c)].get<int>();
    const at::Tensor turned = hue_turned(picture, one["degrees"]);
    for (int c = 0; c < 3; ++c)
      EXPECT_NEAR(turned[c][0][0].item<int>(), one["turned"][static_cast<std::size_t>(c)].get<int>(), 1)
          << one;
  }
}

}  // namespace
}  // namespace lowrank::training
