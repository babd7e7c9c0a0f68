#include "training/scratch/base_trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/unet.h"
#include "support/temporary_folder.h"
#include "training/run_parts.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;

class BaseTrainer : public ::testing::Test {
 protected:
  struct Models {
    model::TextEncoder text = testing::tiny_component<model::TextEncoder>(formats::Component::kTextEncoder);
    model::UNet unet = testing::tiny_component<model::UNet>(formats::Component::kUnet);
    std::string fingerprint() const {
      return testing::fingerprint(text.layers()) + testing::fingerprint(unet.layers());
    }
  };

  BaseTrainer() {
    const at::Generator generator = step_generator(5, 0);
    data_.latents = at::empty({4, 4, 8, 8}).normal_(0, 1, generator);
    data_.mirrored = data_.latents.flip(3);
    data_.ids = at::full({4, 77}, 49407, at::kLong);
    data_.empty_ids = at::full({77}, 49407, at::kLong);
    data_.empty_ids[0] = 49406;
    for (std::int64_t i = 0; i < 4; ++i) {
      data_.ids[i][0] = 49406;
      data_.ids[i][1] = 320 + i;
    }
  }

  static BaseTrainOptions options(std::int64_t steps) {
    return {.steps = steps, .warmup = 2, .batch = 4, .learning_rate = 2e-3};
  }
  std::filesystem::path state(const std::string& name) const {
    return folder_.path() / name / "base-state.safetensors";
  }
  RunResult train(Models& models, const BaseTrainOptions& o, const std::string& name,
                  const RunControl& control = {}) const {
    std::filesystem::create_directories(state(name).parent_path());
    return train_base(models.text, models.unet, data_, o, state(name), control);
  }

  testing::TemporaryFolder folder_;
  CaptionedLatents data_;
};

TEST_F(BaseTrainer, InterruptedAndResumedEqualsUninterruptedBitForBit) {
  Models whole;
  train(whole, options(6), "whole");
  for (const std::int64_t done : {2, 5})
    testing::interrupt_after("base", done, [&](const RunControl& control) {
      Models models;
      train(models, options(6), "parts", control);
    });
  Models resumed;
  EXPECT_EQ(train(resumed, options(6), "parts").losses.size(), 1u);
  EXPECT_EQ(resumed.fingerprint(), whole.fingerprint());
}

// Each step draws its own noise, so steps are compared with the same steps at learning rate 0.
TEST_F(BaseTrainer, TrainingLowersTheLoss) {
  BaseTrainOptions o = options(30);
  o.learning_rate = 5e-3;
  Models learner, still;
  const auto learned = train(learner, o, "learned").losses;
  o.learning_rate = 0;
  o.weight_decay = 0;
  const auto base = train(still, o, "still").losses;
  EXPECT_EQ(learned[0], base[0]);
  EXPECT_LT(testing::mean(learned, 20, 30), 0.9 * testing::mean(base, 20, 30));
}

TEST_F(BaseTrainer, TheModelsEndWithTheAveragedWeights) {
  Models models;
  train(models, options(5), "out");
  const auto file = weights::TensorFile::open(state("out"));
  for (const auto& [name, tensor] : model::parameters(models.unet.layers())) {
    const auto saved = [&](const std::string& kind) {
      return tensor::as_tensor(*file->find(kind + "/unet/" + name), file);
    };
    EXPECT_TRUE(at::equal(tensor, saved("ema"))) << name;
    EXPECT_FALSE(tensor.requires_grad()) << name;
  }
  const auto is_averaged = [&](const std::string& name) {
    return !at::equal(tensor::as_tensor(*file->find("ema/" + name), file),
                      tensor::as_tensor(*file->find("w/" + name), file));
  };
  EXPECT_TRUE(is_averaged("unet/" + model::parameters(models.unet.layers()).front().name));
}

TEST_F(BaseTrainer, AStateOfOtherLatentsOrCaptionsIsRefused) {
  testing::interrupt_after("base", 1, [&](const RunControl& control) {
    Models models;
    train(models, options(3), "out", control);
  });
  const auto refusal = [&]() -> std::string {
    Models models;
    try {
      train(models, options(3), "out");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const CaptionedLatents kept = data_;
  data_.ids = kept.ids.clone();
  data_.ids[2][1] = 400;
  EXPECT_THAT(refusal(), HasSubstr("pictures"));
  data_ = kept;
  data_.latents = kept.latents * 2;
  EXPECT_THAT(refusal(), HasSubstr("pictures"));
  data_ = kept;
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace lowrank::training
