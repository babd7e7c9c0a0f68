// What a checkpoint of SD 2.x predicts, where its file does not say. The fixture's README states what A1111's own trial run gives
// on it: −0.6, which A1111 takes for epsilon, though the model predicts v.
#include "pipeline/resident/trial_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "pipeline/session.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"
#include "weights/tensor_writer.h"

namespace lowrank {
namespace {

using formats::PredictionType;
using ::testing::HasSubstr;

class TrialRun : public ::testing::Test {
 protected:
  // sd2-tiny with the heads stated and no prediction, and one tensor of another value everywhere.
  std::filesystem::path model_with(const std::string& key = "", float value = 0) {
    const auto golden = testing::GoldenModel::open(std::filesystem::path(LOWRANK_TEST_FIXTURES) / "sd2-tiny");
    const auto file = weights::TensorFile::open(golden.checkpoint_path());
    std::vector<weights::TensorView> views(file->tensors().begin(), file->tensors().end());
    std::vector<float> constant;
    for (auto& view : views) {
      if (view.name != key) continue;
      constant.assign(static_cast<std::size_t>(view.elements()), value);
      view.dtype = weights::DType::kF32;
      view.bytes = std::as_bytes(std::span(constant));
    }
    auto metadata = golden.stated();
    metadata.erase("lowrank.prediction_type");
    const auto path = folder_.path() / "model.safetensors";
    weights::write_safetensors(path, views, metadata);
    return path;
  }
  static constexpr const char* kMarkedBias =
      "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";

  testing::TemporaryFolder folder_;
};

TEST_F(TrialRun, TheMarkDecidesAndADisagreementIsTold) {
  auto model = pipeline::load_model(model_with());
  EXPECT_EQ(pipeline::trial_prediction(*model.network), PredictionType::kEpsilon);
  pipeline::judge_prediction(model);
  EXPECT_EQ(model.prediction, PredictionType::kV);
  EXPECT_THAT(model.prediction_details.rule, HasSubstr("ComfyUI's mark"));
  EXPECT_THAT(model.prediction_details.rule, HasSubstr("though A1111's trial run says epsilon"));
}

// An answer lowered by 3 everywhere is far below −1, and so a v.
TEST_F(TrialRun, AnAnswerFarBelowTheLatentIsAV) {
  auto model = pipeline::load_model(model_with("model.diffusion_model.out.2.bias", -3));
  EXPECT_EQ(pipeline::trial_prediction(*model.network), PredictionType::kV);
  pipeline::judge_prediction(model);
  EXPECT_THAT(model.prediction_details.rule, ::testing::Not(HasSubstr("though")));
}

TEST_F(TrialRun, DecidesWhereThereIsNoMark) {
  auto model = pipeline::load_model(model_with());
  model.prediction_details.rule.clear();
  pipeline::judge_prediction(model);
  EXPECT_EQ(model.prediction, PredictionType::kEpsilon);
  EXPECT_EQ(model.prediction_details.rule, "A1111's trial run");
}

TEST_F(TrialRun, WhatTheFileStatesIsNotTried) {
  auto model = pipeline::load_model(model_with());
  model.is_prediction_stated = true;
  const std::string rule = model.prediction_details.rule;
  pipeline::judge_prediction(model);
  EXPECT_EQ(model.prediction_details.rule, rule);
}

// The rule stands in the picture's text and in the result, and a request's own choice takes its place.
TEST_F(TrialRun, TheRuleIsToldWithThePicture) {
  const auto path = model_with(kMarkedBias, 0.0f);  // no spread at all: epsilon
  pipeline::Resources resources;
  resources.checkpoint = [&](const std::string&) { return path; };
  resources.lora = [](const std::string& name) -> std::filesystem::path {
    throw Error(kNotFound, "no LoRA named '{}'.", name);
  };
  resources.vae = [](const std::string&, const std::filesystem::path&) { return std::nullopt; };
  pipeline::Session session(resources, {.threads = 1, .version = "test"});
  request::GenerationRequest request;
  request.prompt = "a fox";
  request.steps = 1;
  request.width = request.height = 64;
  const auto told = session.generate(request);
  EXPECT_EQ(told.prediction_rule, "epsilon by the spread of a norm's bias, ComfyUI's mark for SD 2.x");
  EXPECT_THAT(told.pictures.at(0).metadata, HasSubstr("Prediction rule: \"epsilon by the spread"));
  request.prediction = "v";
  const auto asked = session.generate(request);
  EXPECT_EQ(asked.prediction_rule, "");
  EXPECT_THAT(asked.pictures.at(0).metadata, ::testing::Not(HasSubstr("Prediction rule")));
}

}  // namespace
}  // namespace lowrank
