// Files beside the checkpoint: another VAE, textual inversions, styles, and facts in the checkpoint's own
// metadata.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "pipeline/tiny_session.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using pipeline::Session;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::tiny_request;

class ResourcesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("lowrank-resources-test-" + std::to_string(getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  // The tiny checkpoint's tensors whose names begin with `root`.
  static tensor::StateDict tensors(const std::string& root) {
    const auto file = weights::TensorFile::open(testing::tiny_folder() / "sd15-tiny.safetensors");
    tensor::StateDict state;
    for (const auto& view : file->tensors())
      if (view.name.starts_with(root)) state.emplace(view.name, tensor::as_tensor(view, file));
    return state;
  }
  fs::path write(const std::string& name, const tensor::StateDict& state,
                 const std::map<std::string, std::string>& metadata = {}) const {
    tensor::save_state_dict((folder / name).string(), state, metadata);
    return folder / name;
  }

  fs::path folder;
};

TEST_F(ResourcesTest, AnotherVaeDecodesAndIsNamedWithItsHash) {
  tensor::StateDict brighter = tensors("first_stage_model.");
  auto& bias = brighter.at("first_stage_model.decoder.conv_out.bias");
  bias = bias.to(at::kFloat) + 0.3;
  const fs::path file = write("bright.vae.safetensors", brighter);
  pipeline::Resources resources = testing::tiny_resources();
  resources.vae = [&](const std::string& name, const fs::path&) -> std::optional<fs::path> {
    if (name == "bright") return file;
    return std::nullopt;
  };
  Session session(resources, {.threads = 1, .version = "LowRank test"});
  auto request = tiny_request();
  const auto plain = session.generate(request).pictures.at(0);
  request.vae = "bright";
  const auto bright = session.generate(request).pictures.at(0);
  EXPECT_NE(plain.picture, bright.picture);
  EXPECT_THAT(bright.metadata, HasSubstr(", VAE: bright.vae.safetensors,"));
  EXPECT_THAT(bright.metadata, HasSubstr(", VAE hash: "));
  request.vae = "None";
  const auto again = session.generate(request).pictures.at(0);
  EXPECT_EQ(plain.picture, again.picture);
  EXPECT_THAT(again.metadata, Not(HasSubstr("VAE")));
}

TEST_F(ResourcesTest, AnEmbeddingInThePromptIsUsedAndNamed) {
  write("mything.safetensors", {{"emb_params", at::ones({2, 64}) * 0.05}});
  pipeline::Resources resources = testing::tiny_resources();
  resources.embeddings = folder;
  Session session(resources, {.threads = 1, .version = "LowRank test"});
  const auto with = session.generate(tiny_request("a mything fox")).pictures.at(0);
  EXPECT_THAT(with.metadata, HasSubstr("TI hashes: \"mything: "));
  Session without = testing::tiny_session();
  EXPECT_NE(with.picture, without.generate(tiny_request("a mything fox")).pictures.at(0).picture);
}

TEST_F(ResourcesTest, ALoraOfAnotherBaseModelIsAnErrorUnlessAllowed) {
  const std::string module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  const fs::path file = write("sd15.safetensors", {{module + ".lora_down.weight", at::ones({4, 768})},
                                                   {module + ".lora_up.weight", at::ones({320, 4})}});
  pipeline::Resources resources = testing::tiny_resources();
  resources.lora = [&](const std::string&) { return file; };
  Session session(resources, {.threads = 1, .version = "LowRank test"});
  auto request = tiny_request("a fox <lora:sd15:1>");
  try {
    session.generate(request);
    ADD_FAILURE() << "the LoRA was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("768"));
  }
  request.allow_missing_loras = true;
  const auto result = session.generate(request);
  ASSERT_EQ(result.missing_loras.size(), 1u);
  EXPECT_THAT(result.missing_loras[0].reason, HasSubstr("768"));
  EXPECT_THAT(result.pictures.at(0).metadata, HasSubstr("Lora not found: sd15"));
}

TEST_F(ResourcesTest, StylesGoIntoThePromptAndItsMetadata) {
  std::ofstream(folder / "styles.csv")
      << "name,prompt,negative_prompt\nsnow,\"{prompt}, in the snow\",grey\n";
  pipeline::Resources resources = testing::tiny_resources();
  resources.styles = folder / "styles.csv";
  Session session(resources, {.threads = 1, .version = "LowRank test"});
  auto request = tiny_request("a fox # note");
  request.styles = {"snow"};
  const auto styled = session.generate(request).pictures.at(0);
  EXPECT_THAT(styled.metadata, ::testing::StartsWith("a fox, in the snow\nNegative prompt: blurry, grey\n"));
  auto written_out = tiny_request("a fox, in the snow");
  written_out.negative_prompt = "blurry, grey";
  EXPECT_EQ(styled.picture, session.generate(written_out).pictures.at(0).picture);
}

TEST_F(ResourcesTest, TheCheckpointStatesItsSizeAndLatentScale) {
  pipeline::Resources resources = testing::tiny_resources();
  const fs::path file = write("own.safetensors", tensors(""),
                              {{"lowrank.default_size", "64"}, {"lowrank.latent_scale", "0.5"}});
  resources.checkpoint = [&](const std::string&) { return file; };
  Session session(resources, {.threads = 1, .version = "LowRank test"});
  auto request = tiny_request();
  request.width = request.height = 0;
  const auto own = session.generate(request).pictures.at(0);
  EXPECT_EQ(own.picture.width, 64);
  EXPECT_EQ(own.picture.height, 64);
  Session sd1 = testing::tiny_session();
  EXPECT_NE(own.picture, sd1.generate(tiny_request()).pictures.at(0).picture);
  const fs::path bad = write("bad.safetensors", tensors(""), {{"lowrank.latent_scale", "-1"}});
  EXPECT_THROW(pipeline::load_model(bad), Error);
}

TEST_F(ResourcesTest, WeightsKeepTheirStoredTypeAndNumbers) {
  const auto model = pipeline::load_model(testing::tiny_folder() / "sd15-tiny.safetensors");
  const auto stored = tensors("model.diffusion_model.");
  for (const auto& parameter : model::parameters(model.network->layers())) {
    EXPECT_EQ(parameter.tensor.scalar_type(), at::kHalf) << parameter.name;
    EXPECT_TRUE(at::equal(parameter.tensor, stored.at("model.diffusion_model." + parameter.name)))
        << parameter.name;
  }
}

}  // namespace
}  // namespace lowrank
