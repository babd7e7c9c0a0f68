// Pictures as steps see them: masks, cuts and colours, and captions that differ each time.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "training/data/augmentation.h"
#include "training/data/latent_cache.h"
#include "training/lora_runs.h"
#include "training/objective/diffusion_loss.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

using testing::write_example;
using testing::write_text;

class ShownPictures : public LoraRuns {
 protected:
  // A PNG whose left half is transparent cannot be written here, so that masks are pictures of their own.
  void write_mask(const std::string& name, std::uint8_t left, std::uint8_t right) const {
    image::Picture mask = image::Picture::blank(64, 64, left);
    for (int y = 0; y < 64; ++y)
      for (int x = 32; x < 64; ++x) std::fill_n(mask.pixel(x, y), 3, right);
    std::filesystem::create_directories(folder_.path() / "masks");
    image::save_picture(folder_.path() / "masks" / name, mask, {});
  }
  LoraTrainOptions configured(const std::string& lines, const std::string& output) const {
    write_text(folder_.path() / "set.toml", "[[datasets]]\n[[datasets.subsets]]\nimage_dir = '" +
                                                (folder_.path() / "data/2_3dmm style").string() + "'\n" +
                                                lines);
    LoraTrainOptions o = options(output);
    o.data.folder.clear();
    o.data.config = folder_.path() / "set.toml";
    return o;
  }
  std::string masks() const {
    return "conditioning_data_dir = '" + (folder_.path() / "masks").string() + "'\n";
  }
};

TEST_F(ShownPictures, EverythingThatIsDrawnIsDrawnAgainOnResume) {
  for (int i = 0; i < 4; ++i) write_mask(std::to_string(i) + ".png", 255, static_cast<std::uint8_t>(60 * i));
  const std::string lines = masks() +
                            "num_repeats = 2\ncolor_aug = true\nrandom_crop = true\nflip_aug = true\n"
                            "caption_tag_dropout_rate = 0.3\nenable_wildcard = true\n"
                            "caption_prefix = '{a|b},'\ntoken_warmup_step = 0.5\n";
  const LoraTrainOptions whole = configured(lines, "whole"), parts = configured(lines, "parts");
  train(whole);
  interrupt(parts, 3);
  train(parts);
  EXPECT_EQ(data_hash(whole.output_file()), data_hash(parts.output_file()));
  // The file's words count as the command's do.
  LoraTrainOptions other = configured(lines + "keep_tokens = 2\n", "other");
  interrupt(other, 3);
  other = configured(lines + "keep_tokens = 1\n", "other");
  EXPECT_THROW(train(other), Error);
}

TEST_F(ShownPictures, NothingIsLearnedWhereTheMaskIsBlack) {
  for (int i = 0; i < 4; ++i) write_mask(std::to_string(i) + ".png", 0, 0);
  LoraTrainOptions o = configured(masks(), "black");
  o.weight_decay = 0;
  const auto result = train(o);
  EXPECT_EQ(result.losses.front(), 0);
  const auto file = weights::TensorFile::open(o.output_file());
  for (const auto& view : file->tensors())
    if (view.name.ends_with("lora_up.weight")) {
      EXPECT_EQ(tensor::as_tensor(view, file).abs().max().item<double>(), 0) << view.name;
    }
}

TEST_F(ShownPictures, MasksAreMirroredWithTheirPictures) {
  for (int i = 0; i < 4; ++i) write_mask(std::to_string(i) + ".png", 255, 0);
  const LoraTrainOptions o = configured(masks() + "flip_aug = true\n", "mirrored");
  const auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
  const Dataset data = Dataset::open(o.data);
  const LatentCache cache(*model.vae, data, {}, [](std::int64_t, std::int64_t) {}, {});
  bool is_seen[2] = {false, false};
  for (int step = 0; step < 20; ++step) {
    const ShownPicture shown = cache.draw(0, step_generator(3, step));
    const int width = static_cast<int>(shown.weight.size(1));
    EXPECT_EQ(shown.weight[0][0].item<double>(), shown.is_mirrored ? 0 : 1);
    EXPECT_EQ(shown.weight[0][width - 1].item<double>(), shown.is_mirrored ? 1 : 0);
    EXPECT_TRUE(at::equal(shown.latents, shown.is_mirrored ? cache.mirrored(0) : cache.plain(0)));
    is_seen[shown.is_mirrored ? 1 : 0] = true;
  }
  EXPECT_TRUE(is_seen[0] && is_seen[1]);
}

TEST_F(ShownPictures, CutsReachEveryPlaceAndNoMore) {
  const BucketChoice place{{32, 32}, {35, 32}, 0};
  std::set<std::int64_t> lefts;
  for (int step = 0; step < 200; ++step) {
    const Cut cut = draw_cut(place, step_generator(1, step));
    EXPECT_EQ(cut.top, 0);
    lefts.insert(cut.left);
  }
  EXPECT_EQ(lefts, (std::set<std::int64_t>{0, 1, 2, 3}));
}

TEST_F(ShownPictures, AThirdOfThePicturesChangesItsColours) {
  const at::Tensor picture = at::full({3, 2, 2}, 100, at::kByte);
  picture[0].fill_(180);
  int changed = 0;
  for (int step = 0; step < 2000; ++step)
    changed += at::equal(draw_colours(picture, step_generator(2, step)), picture) ? 0 : 1;
  // 0.33 of them, but for the few whose change rounds to nothing: five deviations of the binomial and 3 percent.
  EXPECT_NEAR(changed, 660, 105 + 20);
}

TEST_F(ShownPictures, TheWeightedErrorIsTheMeanOverAllPlaces) {
  const at::Tensor target = at::zeros({2, 4, 2, 2}), prediction = at::ones({2, 4, 2, 2});
  const at::Tensor weight = at::ones({2});
  at::Tensor places = at::ones({2, 1, 2, 2});
  EXPECT_EQ(weighted_mse(prediction, target, weight, places).item<double>(), 1);
  places[0][0][0][0] = 0;
  EXPECT_NEAR(weighted_mse(prediction, target, weight, places).item<double>(), 7.0 / 8, 1e-6);
  EXPECT_EQ(weighted_mse(prediction, target, weight).item<double>(), 1);
}

}  // namespace
}  // namespace lowrank::training
