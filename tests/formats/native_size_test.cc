#include "formats/native_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

using ::testing::HasSubstr;

Checkpoint of(BaseModel family, PredictionType prediction) {
  Checkpoint checkpoint;
  checkpoint.base_model = family;
  checkpoint.prediction = prediction;
  return checkpoint;
}

// Source: the model cards of the publishers.
TEST(NativeSize, IsWhatTheFamilyLearned) {
  EXPECT_EQ(native_size(of(BaseModel::kSd1, PredictionType::kEpsilon)), 512);
  EXPECT_EQ(native_size(of(BaseModel::kSd1, PredictionType::kV)), 512);
  EXPECT_EQ(native_size(of(BaseModel::kSd2, PredictionType::kV)), 768);        // stable-diffusion-2-1
  EXPECT_EQ(native_size(of(BaseModel::kSd2, PredictionType::kEpsilon)), 512);  // stable-diffusion-2-1-base
  EXPECT_EQ(native_size(of(BaseModel::kSdxl, PredictionType::kEpsilon)), 1024);
  EXPECT_EQ(native_size(of(BaseModel::kSdxl, PredictionType::kV)), 1024);
  EXPECT_EQ(native_size(of(BaseModel::kSdxlRefiner, PredictionType::kEpsilon)), 1024);
}

TEST(NativeSize, IsWhatTheFileStates) {
  Checkpoint checkpoint = of(BaseModel::kSdxl, PredictionType::kEpsilon);
  checkpoint.metadata["lowrank.default_size"] = "128";
  EXPECT_EQ(native_size(checkpoint), 128);
  for (const char* wrong : {"", "many", "4", "5000", "nan"}) {
    checkpoint.metadata["lowrank.default_size"] = wrong;
    EXPECT_THAT(error_of([&] { native_size(checkpoint); }), HasSubstr("lowrank.default_size")) << wrong;
  }
}

// Source: appendix I of the SDXL report.
TEST(UsualSizes, AreThoseThatSdxlLearned) {
  std::vector<std::pair<int, int>> sizes;
  for (const auto& [width, height] : usual_sizes(1024)) sizes.emplace_back(width, height);
  EXPECT_THAT(sizes,
              ::testing::ElementsAre(std::pair(1024, 1024), std::pair(1152, 896), std::pair(896, 1152),
                                     std::pair(1216, 832), std::pair(832, 1216), std::pair(1344, 768),
                                     std::pair(768, 1344), std::pair(1536, 640), std::pair(640, 1536)));
}

TEST(UsualSizes, CanBeDrawnAndBeginWithTheSquare) {
  for (const int native : {8, 64, 100, 128, 512, 768, 1024, 4096}) {
    const auto sizes = usual_sizes(native);
    ASSERT_FALSE(sizes.empty());
    EXPECT_EQ(sizes.front().width, native);
    EXPECT_EQ(sizes.front().height, native);
    for (const auto& [width, height] : sizes) {
      if (width == height) continue;
      EXPECT_GE(std::max(width, height), native) << native;
      EXPECT_EQ(std::max(width, height) % 8, 0) << native;
    }
  }
}

}  // namespace
}  // namespace lowrank::formats
