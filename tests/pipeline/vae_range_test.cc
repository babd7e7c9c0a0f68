// SDXL's VAE in 16-bit storage: its decoder's maps grow beyond float16's largest number, 65504, which is what turns pictures
// black in programs that compute in float16. Weights lie within it, and computing is in float32 whatever they are stored in.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "pipeline/resident/checkpoint_loader.h"
#include "support/changed_model.h"
#include "support/expect_close.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

constexpr double kMostOfFloat16 = 65504;

// The maps between a decoder's norms are as large as one wants: what is added to them is multiplied by `factor`, and a norm
// does not see it. So the picture stays what it was.
void enlarge(const std::string& key, std::vector<float>& values, float factor) {
  const auto has = [&](const char* part) { return key.find(part) != std::string::npos; };
  const bool is_bias = key.ends_with(".bias");
  const bool begins = has("decoder.conv_in.") || has(".conv2.") || has(".proj_out.");
  const bool continues = has(".nin_shortcut.") || has(".upsample.conv.");
  if (!begins && !(continues && is_bias)) return;
  for (float& value : values) value *= factor;
}

TEST(VaeRange, MapsBeyondFloat16GiveTheSamePicture) {
  const at::NoGradGuard no_grad;
  const testing::TemporaryFolder folder;
  const auto golden = testing::GoldenModel::open(std::filesystem::path(LOWRANK_TEST_FIXTURES) / "sdxl-tiny");
  constexpr float kFactor = 65536;
  float most_weight = 0;
  testing::write_changed(
      "sdxl-tiny", folder.path() / "large.safetensors",
      [](const std::string& key) { return key.starts_with("first_stage_model.decoder."); },
      [&](const std::string& key, testing::ChangedTensor tensor) {
        enlarge(key, tensor.values, kFactor);
        for (float& value : tensor.values) {
          most_weight = std::max(most_weight, std::abs(value));
          value = at::scalar_tensor(value, at::kFloat).to(at::kHalf).item<float>();
        }
      });
  EXPECT_LT(most_weight, kMostOfFloat16);
  const auto model = pipeline::load_model(folder.path() / "large.safetensors");
  const auto& layers = model.vae->layers();
  // The first map already is too large for float16.
  const at::Tensor z = golden["vae.z"];
  const auto weight = [&](const char* name) { return layers.at(name)->weight().to(at::kFloat); };
  const at::Tensor first = at::conv2d(
      at::conv2d(z, weight("post_quant_conv"), layers.at("post_quant_conv")->bias().to(at::kFloat)),
      weight("decoder.conv_in"), layers.at("decoder.conv_in")->bias().to(at::kFloat), 1, 1);
  EXPECT_GT(first.abs().max().item<float>(), kMostOfFloat16);
  EXPECT_TRUE(testing::expect_close(model.vae->decode(z), golden["vae.decoded"], {.rel = 1e-3}));
}

// What a careless conversion to float16 leaves of a weight that it cannot hold.
TEST(VaeRange, AnInfiniteWeightIsNamed) {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "damaged.safetensors";
  testing::write_changed(
      "sdxl-tiny", path,
      [](const std::string& key) { return key == "first_stage_model.decoder.mid.block_1.conv2.weight"; },
      [](const std::string&, testing::ChangedTensor tensor) {
        tensor.values.at(7) = std::numeric_limits<float>::infinity();
      });
  request::GenerationRequest request;
  request.checkpoint = path.string();
  request.steps = 1;
  request.width = request.height = 64;
  try {
    testing::session_of_files().generate(request);
    FAIL() << "drew with an infinite weight";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("damaged.safetensors"),
                                               ::testing::HasSubstr("decoder.mid.block_1.conv2"),
                                               ::testing::HasSubstr("VAE")));
  }
}

}  // namespace
}  // namespace lowrank
