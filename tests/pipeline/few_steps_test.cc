// Models for few steps and prediction types, from the request to the picture's text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "pipeline/tiny_session.h"

namespace lowrank::pipeline {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The tiny model, whose LoRA `NAME` is a file of that name with the numbers of lora_attn.
class FewSteps : public ::testing::Test {
 protected:
  FewSteps() : folder_(std::filesystem::path(::testing::TempDir()) / "few_steps") {
    std::filesystem::create_directories(folder_);
  }
  ~FewSteps() override { std::filesystem::remove_all(folder_); }

  Session session() {
    Resources resources = lowrank::testing::tiny_resources();
    resources.lora = [this](const std::string& name) {
      const auto file = folder_ / (name + ".safetensors");
      std::filesystem::copy_file(lowrank::testing::tiny_folder() / "sd15-tiny-lora_attn.safetensors", file,
                                 std::filesystem::copy_options::skip_existing);
      return file;
    };
    return Session(std::move(resources),
                   {.threads = 1, .version = "LowRank test", .packed_cache = {}, .int8 = false});
  }

  static request::GenerationRequest with(const std::string& lora) {
    return lowrank::testing::tiny_request("a fox <lora:" + lora + ":1>");
  }

  std::filesystem::path folder_;
};

TEST_F(FewSteps, SettingsThatDoNotFitALoraAreToldWithThoseThatDo) {
  auto request = with("sdxl_lightning_4step_lora");
  request.steps = 20;
  const auto result = session().generate(request);
  EXPECT_THAT(
      result.warnings,
      ElementsAre(
          "the LoRA 'sdxl_lightning_4step_lora' is made for few steps (SDXL Lightning, by its name): 4 "
          "steps, CFG scale 1, sampler Euler, schedule Trailing fit it, and 20 steps, CFG scale 7, sampler "
          "DPM++ 2M may not; --auto takes what fits."));
  EXPECT_THAT(result.pictures.at(0).metadata, HasSubstr("Steps: 20, Sampler: DPM++ 2M"));
}

TEST_F(FewSteps, AutoTakesWhatFits) {
  auto request = with("sdxl_lightning_4step_lora");
  request.steps = 20;
  request.auto_few_steps = true;
  const auto result = session().generate(request);
  EXPECT_THAT(result.pictures.at(0).metadata,
              HasSubstr("Steps: 4, Sampler: Euler, Schedule type: Trailing, CFG scale: 1,"));
  EXPECT_EQ(result.unet_passes, 4);
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_THAT(result.warnings[0],
              HasSubstr("--auto took 4 steps, CFG scale 1, sampler Euler, schedule Trailing"));
}

TEST_F(FewSteps, SettingsThatFitAreKeptWithoutAWord) {
  auto request = with("sdxl_lightning_4step_lora");
  request.steps = 4;
  request.cfg_scale = request::Decimal(1.5);
  request.sampler = "Euler";
  request.scheduler = "SGM Uniform";
  request.auto_few_steps = true;
  const auto result = session().generate(request);
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.pictures.at(0).metadata,
              HasSubstr("Steps: 4, Sampler: Euler, Schedule type: SGM Uniform, CFG scale: 1.5,"));
}

// No settings fit: told instead of advised, and --auto leaves what was asked for.
TEST_F(FewSteps, ACheckpointThatCannotBeDrawnSaysWhatToTake) {
  Resources resources = lowrank::testing::tiny_resources();
  resources.checkpoint = [this](const std::string&) {
    const auto file = folder_ / "sdxl_lightning_1step_x0.safetensors";
    std::filesystem::copy_file(lowrank::testing::tiny_folder() / "sd15-tiny.safetensors", file,
                               std::filesystem::copy_options::skip_existing);
    return file;
  };
  Session drawing(std::move(resources), {.threads = 1, .version = "LowRank test"});
  auto request = lowrank::testing::tiny_request();
  request.auto_few_steps = true;
  const auto result = drawing.generate(request);
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_THAT(result.warnings[0], HasSubstr("predicts the picture itself (x0)"));
  EXPECT_THAT(result.warnings[0], HasSubstr("take sdxl_lightning_2step instead"));
  EXPECT_THAT(result.pictures.at(0).metadata, HasSubstr("Steps: 3,"));
}

TEST_F(FewSteps, OtherLorasChangeNothing) {
  auto request = with("lightning_bolts");
  request.auto_few_steps = true;
  const auto result = session().generate(request);
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.pictures.at(0).metadata, HasSubstr("Steps: 3, Sampler: DPM++ 2M"));
}

// A negative prompt of two chunks beside a prompt of one needs a pass of its own, unless the scale leaves it out.
TEST_F(FewSteps, CfgScaleOneIsOnePassForEachStep) {
  for (const char* sampler : {"Euler", "LCM", "TCD", "DDIM", "DPM++ 2M"}) {
    auto request = lowrank::testing::tiny_request("a fox");
    request.sampler = sampler;
    request.scheduler = "Trailing";
    for (int i = 0; i < 90; ++i) request.negative_prompt += " blurry";
    request.steps = 4;
    Session drawing = session();
    EXPECT_EQ(drawing.generate(request).unet_passes, 8) << sampler;
    request.cfg_scale = 1;
    EXPECT_EQ(drawing.generate(request).unet_passes, 4) << sampler;
  }
}

TEST_F(FewSteps, ThePredictionOfTheRequestWins) {
  Session drawing = session();
  std::map<std::string, std::string> texts;
  std::vector<image::Picture> pictures;
  for (const char* prediction : {"Automatic", "epsilon", "v", "flow"}) {
    auto request = lowrank::testing::tiny_request();
    request.prediction = prediction;
    auto made = drawing.generate(request).pictures.at(0);
    texts[prediction] = made.metadata;
    pictures.push_back(std::move(made.picture));
  }
  EXPECT_EQ(pictures[0], pictures[1]);
  EXPECT_NE(pictures[1], pictures[2]);
  EXPECT_NE(pictures[2], pictures[3]);
  EXPECT_THAT(texts["Automatic"], Not(HasSubstr("Prediction type")));
  EXPECT_THAT(texts["v"], HasSubstr("Prediction type: v,"));
  EXPECT_THAT(texts["flow"], HasSubstr("Prediction type: flow,"));
  auto request = lowrank::testing::tiny_request();
  request.prediction = "velocity";
  EXPECT_THROW(drawing.generate(request), Error);
}

// The starter model predicts epsilon, and six prompts of its page give no alarm, whatever the sampler and the scale.
class StarterPrediction : public ::testing::Test {
 protected:
  static Session session() {
    Resources resources = lowrank::testing::tiny_resources();
    const auto folder = std::filesystem::path(LOWRANK_SOURCE_DIR) / "models/starter";
    resources.checkpoint = [folder](const std::string&) { return folder / "starter.safetensors"; };
    resources.lora = [folder](const std::string& name) { return folder / "lora" / (name + ".safetensors"); };
    return Session(std::move(resources),
                   {.threads = 1, .version = "LowRank test", .packed_cache = {}, .int8 = false});
  }
  static request::GenerationRequest request(const std::string& prompt) {
    request::GenerationRequest asked;
    asked.prompt = prompt;
    asked.seed = 1;
    asked.steps = 2;
    return asked;
  }
};

TEST_F(StarterPrediction, IsRightWithoutAWord) {
  Session drawing = session();
  const char* prompts[] = {"fox, noto style, blue background",
                           "zorbo, noto style, red background <lora:character_zorbo:1>",
                           "panda, flat style, green background <lora:3dmm_style:1.5>",
                           "two star, noto style <lora:concept_bubble:1>",
                           "person, noto style <lora:pose_lotus:1>",
                           ""};
  const char* samplers[] = {"Euler a", "DPM++ 2M", "DDIM", "LCM", "TCD", "UniPC"};
  for (int i = 0; i < 6; ++i) {
    auto asked = request(prompts[i]);
    asked.sampler = samplers[i];
    asked.steps = i == 5 ? 4 : 2;
    asked.cfg_scale = i % 2 == 0 ? 7 : 1;
    EXPECT_THAT(drawing.generate(asked).warnings, Each(Not(HasSubstr("--prediction")))) << prompts[i];
  }
}

TEST_F(StarterPrediction, DrawnAsAnotherTypeItsOwnIsNamed) {
  Session drawing = session();
  for (const char* wrong : {"v", "flow"}) {
    for (const char* sampler : {"Euler", "DDIM"}) {
      auto asked = request("fox, noto style, blue background");
      asked.prediction = wrong;
      asked.sampler = sampler;
      asked.steps = 12;  // DDIM's first of fewer steps is not noise alone
      EXPECT_THAT(drawing.generate(asked).warnings, ElementsAre(HasSubstr("try --prediction epsilon")))
          << wrong << ' ' << sampler;
    }
  }
}

}  // namespace
}  // namespace lowrank::pipeline
