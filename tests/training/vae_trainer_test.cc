#include "training/scratch/vae_trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "training/data/picture_file.h"
#include "training/picture_folder.h"
#include "training/run_parts.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;

// uint8 [count, 3, height, width]
at::Tensor drawings(int count, int width, int height) {
  std::vector<at::Tensor> all;
  for (int kind = 0; kind < count; ++kind) {
    const image::Picture picture = testing::drawing(width, height, kind);
    const at::Tensor rows = at::empty({height, width, 3}, at::kByte);
    std::memcpy(rows.data_ptr(), picture.rgb.data(), picture.rgb.size());
    all.push_back(rows.permute({2, 0, 1}).contiguous());
  }
  return at::stack(all);
}

class VaeTrainer : public ::testing::Test {
 protected:
  static VaeTrainOptions options(std::int64_t steps) {
    return {.steps = steps, .warmup = 2, .batch = 4, .crop = 16, .full_size_steps = 2, .learning_rate = 2e-3};
  }
  std::filesystem::path state(const std::string& name) const {
    return folder_.path() / name / "vae-state.safetensors";
  }
  model::Vae new_vae() const { return testing::tiny_component<model::Vae>(formats::Component::kVae); }
  RunResult train(model::Vae& vae, const VaeTrainOptions& o, const std::string& name,
                  const RunControl& control = {}) const {
    std::filesystem::create_directories(state(name).parent_path());
    return train_vae(vae, pictures_, o, state(name), control);
  }

  testing::TemporaryFolder folder_;
  at::Tensor pictures_ = drawings(4, 32, 24);
};

TEST_F(VaeTrainer, InterruptedAndResumedEqualsUninterruptedBitForBit) {
  model::Vae whole = new_vae();
  train(whole, options(6), "whole");
  for (const std::int64_t done : {2, 5})
    testing::interrupt_after("vae", done, [&](const RunControl& control) {
      model::Vae vae = new_vae();
      train(vae, options(6), "parts", control);
    });
  model::Vae resumed = new_vae();
  EXPECT_EQ(train(resumed, options(6), "parts").losses.size(), 1u);
  EXPECT_EQ(testing::fingerprint(resumed.layers()), testing::fingerprint(whole.layers()));
}

TEST_F(VaeTrainer, LearnsToDrawItsPictures) {
  model::Vae vae = new_vae();
  const auto losses = train(vae, options(60), "out").losses;
  ASSERT_EQ(losses.size(), 60u);
  EXPECT_LT(testing::mean(losses, 50, 60), 0.7 * testing::mean(losses, 0, 10));
}

TEST_F(VaeTrainer, LeavesNoGradientsAndFullPrecisionBehind) {
  model::Vae vae = new_vae();
  train(vae, options(1), "out");
  for (const auto& [name, tensor] : model::parameters(vae.layers()))
    EXPECT_FALSE(tensor.requires_grad()) << name;
  EXPECT_EQ(vae.policy()->compute, at::kFloat);
}

TEST_F(VaeTrainer, AStateOfOtherPicturesOrAnotherSeedIsRefused) {
  testing::interrupt_after("vae", 1, [&](const RunControl& control) {
    model::Vae vae = new_vae();
    train(vae, options(3), "out", control);
  });
  const auto refusal = [&](const VaeTrainOptions& o) -> std::string {
    model::Vae vae = new_vae();
    try {
      train(vae, o, "out");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  VaeTrainOptions other = options(3);
  other.seed = 2;
  EXPECT_THAT(refusal(other), HasSubstr("seed"));
  pictures_ = drawings(3, 32, 24);
  EXPECT_THAT(refusal(options(3)), HasSubstr("pictures"));
}

TEST_F(VaeTrainer, PicturesSmallerThanTheCropAndTallOnesAreTrainedToo) {
  for (const auto& [width, height] : {std::pair{16, 16}, {16, 32}, {32, 16}}) {
    pictures_ = drawings(2, width, height);
    model::Vae vae = new_vae();
    VaeTrainOptions o = options(3);
    o.crop = 24;
    const auto losses = train(vae, o, fmt::format("{}x{}", width, height)).losses;
    EXPECT_TRUE(std::isfinite(losses.back())) << width << "x" << height;
  }
}

TEST_F(VaeTrainer, NormalisedLatentsHaveUnitDeviationAndDecodeAsBefore) {
  model::Vae vae = new_vae();
  const at::Tensor before = vae.decode(vae.encode_moments(to_signed(pictures_)).chunk(2, 1)[0]);
  normalise_latents(vae, pictures_);
  EXPECT_NEAR(encode_latents(vae, pictures_).std().item<double>(), 1, 1e-4);
  const at::Tensor after = vae.decode(vae.encode_moments(to_signed(pictures_)).chunk(2, 1)[0]);
  EXPECT_LT((after - before).abs().max().item<double>(), 1e-3 * before.abs().max().item<double>());
}

}  // namespace
}  // namespace lowrank::training
