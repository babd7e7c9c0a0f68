// Inpainting models of SD 2.x and SDXL: one that pays no attention to what it sees beside the latent draws what the model without
// those channels draws, and one that does draws by mask and picture.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/changed_model.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using request::GenerationRequest;
using ::testing::HasSubstr;

class InpaintingFamilies : public ::testing::TestWithParam<const char*> {
 protected:
  std::string four() {
    const auto path = folder_.path() / "four.safetensors";
    testing::write_changed(GetParam(), path);
    return path.string();
  }
  // The first convolution with five more channels of that value: mask, then the latent outside of it.
  std::string nine(float mask, float outside) {
    const auto path = folder_.path() / ("nine" + std::to_string(++written_) + ".safetensors");
    testing::write_changed(
        GetParam(), path,
        [](const std::string& key) { return key == "model.diffusion_model.input_blocks.0.0.weight"; },
        [&](const std::string&, testing::ChangedTensor tensor) {
          std::vector<float> wide;
          const auto rows = static_cast<std::size_t>(tensor.shape.at(0));
          for (std::size_t row = 0; row < rows; ++row) {
            const float* first = tensor.values.data() + row * 36;
            wide.insert(wide.end(), first, first + 36);
            wide.insert(wide.end(), 9, mask);
            wide.insert(wide.end(), 36, outside);
          }
          tensor.values = std::move(wide);
          tensor.shape.at(1) = 9;
        });
    return path.string();
  }
  static image::Picture plain(std::uint8_t left, std::uint8_t right) {
    image::Picture picture{.width = 64, .height = 64, .rgb = {}};
    for (int pixel = 0; pixel < 64 * 64; ++pixel)
      picture.rgb.insert(picture.rgb.end(), 3, pixel % 64 < 32 ? left : right);
    return picture;
  }
  static GenerationRequest request_of(const std::string& checkpoint) {
    GenerationRequest request;
    request.checkpoint = checkpoint;
    request.prompt = "a fox";
    request.steps = 4;
    request.seed = 5;
    request.width = request.height = 64;
    return request;
  }
  static GenerationRequest masked(const std::string& checkpoint, bool is_left) {
    GenerationRequest request = request_of(checkpoint);
    request.init_images = {plain(200, 30)};
    image::Mask mask{.width = 64, .height = 64, .grey = {}};
    for (int pixel = 0; pixel < 64 * 64; ++pixel) mask.grey.push_back((pixel % 64 < 32) == is_left ? 255 : 0);
    request.mask = mask;
    request.mask_blur = 0;
    request.inpainting_fill = 1;
    request.inpaint_full_res = false;
    return request;
  }
  pipeline::GeneratedPicture drawn(const GenerationRequest& request) {
    return session_.generate(request).pictures.at(0);
  }

  testing::TemporaryFolder folder_;
  pipeline::Session session_ = testing::session_of_files();

 private:
  int written_ = 0;
};

TEST_P(InpaintingFamilies, WithoutWeightsForThemTheFurtherChannelsChangeNothing) {
  const std::string four_channels = four(), nine_channels = nine(0, 0);
  EXPECT_EQ(drawn(request_of(four_channels)).picture, drawn(request_of(nine_channels)).picture);
  const auto inpainted = drawn(masked(nine_channels, true));
  EXPECT_EQ(drawn(masked(four_channels, true)).picture, inpainted.picture);
  EXPECT_THAT(inpainted.metadata, HasSubstr("Conditional mask weight"));
}

TEST_P(InpaintingFamilies, TheMaskAndThePictureAreSeen) {
  const std::string sees_mask = nine(0.05f, 0), sees_outside = nine(0, 0.05f), blind = nine(0, 0);
  EXPECT_NE(drawn(masked(sees_mask, true)).picture, drawn(masked(blind, true)).picture);
  EXPECT_NE(drawn(masked(sees_outside, true)).picture, drawn(masked(blind, true)).picture);
}

std::string family_of(const ::testing::TestParamInfo<const char*>& tested) {
  const std::string set = tested.param;
  return set.substr(0, set.find('-'));
}
INSTANTIATE_TEST_SUITE_P(Families, InpaintingFamilies, ::testing::Values("sd2-tiny", "sdxl-tiny"), family_of);

}  // namespace
}  // namespace lowrank
