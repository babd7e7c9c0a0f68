// What SDXL's models are told of a picture, from the request to the network: by properties of models whose layer that reads the
// numbers is changed. Its columns are the pooled text, then 256 for each number (tests/fixtures/README.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "request/metadata.h"
#include "support/changed_model.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using request::Decimal;
using request::GenerationRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::int64_t kPooled = 24, kOfNumber = 256;  // columns
enum Number { kOriginalHeight, kOriginalWidth, kTop, kLeft, kTargetHeight, kTargetWidth };
constexpr int kScore = 4;  // of the refiner

class SdxlOptions : public ::testing::Test {
 protected:
  std::string model(const std::string& set) {
    return changed(set, [](float*, std::int64_t) {});
  }
  // With the columns of `a` and `b` exchanged.
  std::string exchanged(const std::vector<std::pair<int, int>>& pairs) {
    return changed("sdxl-tiny", [&](float* row, std::int64_t) {
      for (const auto& [a, b] : pairs)
        std::swap_ranges(row + kPooled + a * kOfNumber, row + kPooled + (a + 1) * kOfNumber,
                         row + kPooled + b * kOfNumber);
    });
  }
  std::string deaf(const std::string& set, int number) {
    return changed(set, [&](float* row, std::int64_t) {
      std::fill_n(row + kPooled + number * kOfNumber, kOfNumber, 0.0f);
    });
  }

  static GenerationRequest request_of(const std::string& checkpoint) {
    GenerationRequest request;
    request.checkpoint = checkpoint;
    request.prompt = "a fox";
    request.negative_prompt = "blurry";
    request.steps = 2;
    request.seed = 42;
    request.width = request.height = 64;
    return request;
  }
  image::Picture drawn(const GenerationRequest& request) {
    return session_.generate(request).pictures.at(0).picture;
  }
  // In steps of 256. Exchanged columns are added up in another order, which may round one of them.
  static int difference(const image::Picture& a, const image::Picture& b) {
    EXPECT_EQ(a.rgb.size(), b.rgb.size());
    int most = 0;
    for (std::size_t i = 0; i < std::min(a.rgb.size(), b.rgb.size()); ++i)
      most = std::max(most, std::abs(a.rgb[i] - b.rgb[i]));
    return most;
  }

  testing::TemporaryFolder folder_;
  pipeline::Session session_ = testing::session_of_files();

 private:
  std::string changed(const std::string& set, const std::function<void(float*, std::int64_t)>& change) {
    const auto path = folder_.path() / (std::to_string(++written_) + ".safetensors");
    testing::write_changed(
        set, path, [](const std::string& key) { return key == "model.diffusion_model.label_emb.0.0.weight"; },
        [&](const std::string&, testing::ChangedTensor tensor) {
          const auto columns = tensor.shape.at(1);
          // The fixture's weights are small beside the rest; a picture of 8 bits shall show them.
          for (float& value : tensor.values) value *= 8;
          for (std::int64_t row = 0; row < tensor.shape.at(0); ++row)
            change(tensor.values.data() + row * columns, columns);
        });
    return path.string();
  }
  int written_ = 0;
};

TEST_F(SdxlOptions, TheCropReachesItsNumbers) {
  auto plain = request_of(model("sdxl-tiny")), other = request_of(exchanged({{kTop, kLeft}}));
  plain.sdxl_crop_top = other.sdxl_crop_left = 40;
  plain.sdxl_crop_left = other.sdxl_crop_top = 300;
  EXPECT_LE(difference(drawn(plain), drawn(other)), 1);
  auto uncropped = plain;
  uncropped.sdxl_crop_top = uncropped.sdxl_crop_left = 0;
  EXPECT_GT(difference(drawn(plain), drawn(uncropped)), 1);
}

// A model that takes the heights for the widths sees no difference exactly where it is told a square.
TEST_F(SdxlOptions, HiresFixIsToldTheSizeThatItGrowsTo) {
  auto plain = request_of(model("sdxl-tiny"));
  auto other = request_of(exchanged({{kOriginalHeight, kOriginalWidth}, {kTargetHeight, kTargetWidth}}));
  for (auto* request : {&plain, &other}) {
    request->enable_hr = true;
    request->hr_resize_x = 64;  // grows to 96 × 96 and is cut
    request->hr_resize_y = 96;
  }
  const image::Picture picture = drawn(plain);
  EXPECT_EQ(picture.width, 64);
  EXPECT_EQ(picture.height, 96);
  EXPECT_LE(difference(picture, drawn(other)), 1);
  // A picture that is no square is told as it is.
  for (auto* request : {&plain, &other}) request->hr_resize_y = 0;
  plain.height = other.height = 96;
  EXPECT_GT(difference(drawn(plain), drawn(other)), 1);
}

TEST_F(SdxlOptions, ImagesToImagesAreToldTheCropToo) {
  const image::Picture start{.width = 64, .height = 64, .rgb = std::vector<std::uint8_t>(64 * 64 * 3, 120)};
  auto plain = request_of(model("sdxl-tiny")), other = request_of(exchanged({{kTop, kLeft}}));
  plain.init_images = other.init_images = {start};
  plain.sdxl_crop_top = other.sdxl_crop_left = 512;
  EXPECT_LE(difference(drawn(plain), drawn(other)), 1);
  auto uncropped = plain;
  uncropped.sdxl_crop_top = 0;
  EXPECT_GT(difference(drawn(plain), drawn(uncropped)), 1);
}

TEST_F(SdxlOptions, TheRefinerIsToldAScoreForEachPrompt) {
  auto plain = request_of(model("sdxl-refiner-tiny"));
  const auto base = drawn(plain);
  auto high = plain, low = plain;
  high.sdxl_high_aesthetic_score = 1;
  low.sdxl_low_aesthetic_score = 9;
  EXPECT_NE(drawn(high), base);
  EXPECT_NE(drawn(low), base);
  // Without guidance nobody is told of the negative prompt.
  for (auto* request : {&plain, &high, &low}) request->cfg_scale = 1;
  EXPECT_EQ(drawn(low), drawn(plain));
  EXPECT_NE(drawn(high), drawn(plain));
  for (auto* request : {&plain, &high, &low}) {
    request->cfg_scale = 7;
    request->checkpoint = deaf("sdxl-refiner-tiny", kScore);
  }
  EXPECT_EQ(drawn(high), drawn(plain));
  EXPECT_EQ(drawn(low), drawn(plain));
}

TEST_F(SdxlOptions, ARefinerThatTakesOverIsToldCropAndScores) {
  auto plain = request_of(model("sdxl-tiny"));
  plain.refiner_checkpoint = model("sdxl-refiner-tiny");
  plain.refiner_switch_at = Decimal(0.5);
  plain.steps = 4;
  const auto base = drawn(plain);
  for (const auto& change : std::vector<std::function<void(GenerationRequest&)>>{
           [](auto& r) { r.sdxl_high_aesthetic_score = 1; }, [](auto& r) { r.sdxl_low_aesthetic_score = 9; },
           [](auto& r) { r.sdxl_crop_left = 700; }}) {
    auto other = plain;
    change(other);
    EXPECT_NE(drawn(other), base);
  }
}

// SDXL was trained with the last but one layer, which is CLIP skip 2.
TEST_F(SdxlOptions, ClipSkipCountsForTheFirstEncoderOnRequest) {
  auto plain = request_of(model("sdxl-tiny"));
  const auto base = drawn(plain);
  auto skipping = plain;
  skipping.clip_skip = 2;
  EXPECT_EQ(drawn(skipping), base);
  skipping.sdxl_clip_l_skip = true;
  EXPECT_EQ(drawn(skipping), base);
  skipping.clip_skip = 1;
  EXPECT_NE(drawn(skipping), base);
  skipping.clip_skip = 3;
  EXPECT_NE(drawn(skipping), base);
}

TEST_F(SdxlOptions, StandInThePicturesTextAndComeBack) {
  auto request = request_of(model("sdxl-tiny"));
  request.refiner_checkpoint = model("sdxl-refiner-tiny");
  request.refiner_switch_at = Decimal(0.5);
  request.steps = 4;
  request.sdxl_crop_top = 8;
  request.sdxl_crop_left = 16;
  request.sdxl_low_aesthetic_score = Decimal(1.5);
  request.sdxl_high_aesthetic_score = 8;
  request.sdxl_clip_l_skip = true;
  const auto first = session_.generate(request).pictures.at(0);
  EXPECT_THAT(first.metadata,
              HasSubstr("SDXL CLIP-L skip: True, SDXL crop top: 8, SDXL crop left: 16, SDXL low "
                        "aesthetic score: 1.5, SDXL high aesthetic score: 8"));
  GenerationRequest again;
  EXPECT_THAT(apply_metadata(again, prompt::parse_infotext(first.metadata)), IsEmpty());
  again.checkpoint = request.checkpoint;
  again.refiner_checkpoint = request.refiner_checkpoint;
  const auto second = session_.generate(again).pictures.at(0);
  EXPECT_EQ(first.metadata, second.metadata);
  EXPECT_EQ(first.picture, second.picture);
}

// A family that is told nothing of the picture has no such entries.
TEST_F(SdxlOptions, AreNotNotedForOtherFamilies) {
  GenerationRequest request =
      request_of(std::string(LOWRANK_TEST_FIXTURES) + "/sd15-tiny/sd15-tiny.safetensors");
  request.sdxl_crop_top = 8;
  request.sdxl_high_aesthetic_score = 1;
  EXPECT_THAT(session_.generate(request).pictures.at(0).metadata, Not(HasSubstr("SDXL")));
}

}  // namespace
}  // namespace lowrank
