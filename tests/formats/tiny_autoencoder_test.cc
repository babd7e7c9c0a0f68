#include "formats/tiny_autoencoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/file_kind.h"
#include "weights/tensor_writer.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kFixtures = fs::path(LOWRANK_TEST_FIXTURES) / "tiny-autoencoder";
const fs::path kDiffusers = kFixtures / "taesd/diffusion_pytorch_model.safetensors";

class TinyAutoencoderFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("lowrank-tiny-autoencoder-" + std::to_string(getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string refusal(const fs::path& path) const {
    try {
      open_tiny_autoencoder(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  fs::path folder;
};

TEST_F(TinyAutoencoderFileTest, BothNamingsGiveTheSameNames) {
  const auto both = open_tiny_autoencoder(kDiffusers);
  for (const TinyHalf half : {TinyHalf::kDecoder, TinyHalf::kEncoder}) {
    const auto one = open_tiny_autoencoder(kFixtures / ("taesd_" + std::string(half_name(half)) + ".pth"));
    ASSERT_EQ(one[half].size(), both[half].size());
    for (const auto& [name, view] : one[half]) {
      ASSERT_TRUE(both[half].contains(name)) << name;
      EXPECT_TRUE(std::ranges::equal(view.bytes, both[half].at(name).bytes)) << name;
    }
    const TinyHalf other = half == TinyHalf::kDecoder ? TinyHalf::kEncoder : TinyHalf::kDecoder;
    EXPECT_TRUE(one[other].empty());
  }
}

TEST_F(TinyAutoencoderFileTest, ComfyUisPrefixesAreRead) {
  const auto plain = open_tiny_autoencoder(kFixtures / "taesd_decoder.pth");
  std::vector<weights::TensorView> views;
  for (const auto& [name, view] : plain.decoder) {
    views.push_back(view);
    views.back().name = "taesd_decoder." + name;
  }
  weights::write_safetensors(folder / "taesd.safetensors", views, {});
  EXPECT_EQ(open_tiny_autoencoder(folder / "taesd.safetensors").decoder.size(), plain.decoder.size());
}

// As published by madebyollin, and as programs save them.
TEST_F(TinyAutoencoderFileTest, TheNameTellsTheFamily) {
  const auto label = [](const char* path) {
    const FamilyRow* row = tiny_autoencoder_family(path);
    return row == nullptr ? std::string("none") : std::string(row->label);
  };
  EXPECT_EQ(label("models/VAE-approx/taesd_decoder.pth"), "SD1");
  EXPECT_EQ(label("models/VAE-taesd/taesdxl_decoder.pth"), "SDXL");
  EXPECT_EQ(label("taesdxl_encoder.safetensors"), "SDXL");
  EXPECT_EQ(label("TAESD-XL.safetensors"), "SDXL");
  EXPECT_EQ(label("models/VAE-approx/taesdxl/diffusion_pytorch_model.safetensors"), "SDXL");
  EXPECT_EQ(label("models/VAE-approx/taesd/diffusion_pytorch_model.fp16.safetensors"), "SD1");
  EXPECT_EQ(label("models--madebyollin--taesdxl/snapshots/8c3b/diffusion_pytorch_model.safetensors"), "SDXL");
  EXPECT_EQ(label("taesd3_decoder.pth"), "none");
  EXPECT_EQ(label("taef1_decoder.pth"), "none");
  EXPECT_EQ(label("model.pt"), "none");
  EXPECT_TRUE(have_same_latents(*family(BaseModel::kSd1), *family(BaseModel::kSd2)));
  EXPECT_TRUE(have_same_latents(*family(BaseModel::kSdxl), *family(BaseModel::kSdxlRefiner)));
  EXPECT_FALSE(have_same_latents(*family(BaseModel::kSd1), *family(BaseModel::kSdxl)));
}

TEST_F(TinyAutoencoderFileTest, MetadataTellWhereTheNameDoesNot) {
  const auto plain = open_tiny_autoencoder(kFixtures / "taesd_decoder.pth");
  std::vector<weights::TensorView> views;
  for (const auto& [name, view] : plain.decoder) {
    views.push_back(view);
    views.back().name = name;
  }
  weights::write_safetensors(folder / "tiny.safetensors", views,
                             {{"modelspec.architecture", "stable-diffusion-xl-v1-base/vae"}});
  const FamilyRow* row = tiny_autoencoder_family(folder / "tiny.safetensors");
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->label, "SDXL");
}

TEST_F(TinyAutoencoderFileTest, OtherFilesAreRefusedByWhatTheyAre) {
  const fs::path checkpoint = fs::path(LOWRANK_TEST_FIXTURES) / "sd15-tiny/sd15-tiny.safetensors";
  EXPECT_THAT(refusal(checkpoint),
              HasSubstr("is not a tiny autoencoder, it looks like an SD 1.x checkpoint"));
  EXPECT_THAT(refusal(fs::path(LOWRANK_TEST_FIXTURES) / "upscalers/compact-4x.pth"), HasSubstr("not a tiny"));
}

// A VAE is asked for by another name.
TEST_F(TinyAutoencoderFileTest, AVaeItIsNotAndTheSentenceSaysWhereItBelongs) {
  for (const fs::path& path :
       {kFixtures / "taesd_decoder.pth", kFixtures / "taesd_encoder.pth", kDiffusers}) {
    EXPECT_EQ(describe_file(*weights::TensorFile::open(path)), kTinyAutoencoderKind) << path;
    try {
      open_vae(path);
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("models/VAE-approx")) << path;
    }
  }
}

TEST_F(TinyAutoencoderFileTest, AConfigOfAnotherFormIsRefused) {
  fs::copy(kFixtures / "taesd", folder / "taesd");
  const fs::path file = folder / "taesd/diffusion_pytorch_model.safetensors";
  EXPECT_EQ(refusal(file), "");
  std::ofstream(folder / "taesd/config.json") << R"({"act_fn": "silu"})";
  EXPECT_THAT(refusal(file), HasSubstr("states act_fn \"silu\""));
  std::ofstream(folder / "taesd/config.json") << R"({"scaling_factor": 0.5})";
  EXPECT_THAT(refusal(file), HasSubstr("scaling_factor"));
  std::ofstream(folder / "taesd/config.json") << "{";
  EXPECT_THAT(refusal(file), HasSubstr("is not JSON"));
}

}  // namespace
}  // namespace lowrank::formats
