// A model of SDXL in shards as diffusers and transformers save it (tools/fixtures/make_diffusers_shards.py), and under the names
// that diffusers wrote before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class DiffusersShards : public ::testing::Test {
 protected:
  DiffusersShards() {
    for (const char* form : {"plain", "fp16"})
      fs::copy(fixture(std::string("diffusers-shards/") + form), folder_.path() / form,
               fs::copy_options::recursive);
  }
  // All weights of one part's shards in one file, which takes their place.
  void join(const fs::path& part) {
    std::vector<std::shared_ptr<const weights::TensorFile>> files;
    std::vector<weights::TensorView> views;
    for (const auto& entry : fs::directory_iterator(part)) {
      if (entry.path().extension() != ".safetensors") continue;
      files.push_back(weights::TensorFile::open(entry.path()));
      views.insert(views.end(), files.back()->tensors().begin(), files.back()->tensors().end());
    }
    ASSERT_EQ(files.size(), 2u) << part;
    const auto joined = folder_.path() / "joined";
    weights::write_safetensors(joined, views);
    files.clear();
    std::vector<fs::path> old;
    for (const auto& entry : fs::directory_iterator(part))
      if (entry.path().filename() != "config.json") old.push_back(entry.path());
    for (const auto& path : old) fs::remove(path);
    fs::rename(joined, part / "model.safetensors");
  }
  static void expect_same(const Checkpoint& ours, const Checkpoint& truth) {
    EXPECT_EQ(ours.base_model, BaseModel::kSdxl);
    for (const Component component :
         {Component::kUnet, Component::kTextEncoder, Component::kTextEncoder2, Component::kVae}) {
      ASSERT_EQ(ours[component].size(), truth[component].size());
      EXPECT_GT(ours[component].size(), 20u);
      for (const auto& [name, view] : truth[component]) {
        ASSERT_TRUE(ours[component].contains(name)) << name;
        EXPECT_EQ(weights::to_floats(ours[component].at(name)), weights::to_floats(view)) << name;
      }
    }
  }
  void rename_all(const std::string& form, const std::string& from, const std::string& to) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path() / form))
      if (entry.is_regular_file()) files.push_back(entry.path());
    for (const auto& file : files) {
      if (file.extension() == ".json" && file.filename() != "config.json") {
        const std::string text = std::regex_replace(weights::contents_of(file), std::regex(from), to);
        std::ofstream(file, std::ios::binary) << text;
      }
      const std::string name = std::regex_replace(file.filename().string(), std::regex(from), to);
      if (name != file.filename()) fs::rename(file, file.parent_path() / name);
    }
  }

  TemporaryFolder folder_;
};

TEST_F(DiffusersShards, AreReadAsOneFileWithAndWithoutVariant) {
  const auto plain = open_checkpoint(folder_.path() / "plain"),
             fp16 = open_checkpoint(folder_.path() / "fp16");
  fs::copy(folder_.path() / "plain", folder_.path() / "whole", fs::copy_options::recursive);
  for (const char* part : {"unet", "vae", "text_encoder", "text_encoder_2"})
    join(folder_.path() / "whole" / part);
  const auto whole = open_checkpoint(folder_.path() / "whole");
  expect_same(plain, whole);
  expect_same(fp16, whole);
  EXPECT_EQ(plain.files.size(), 8u);
}

TEST_F(DiffusersShards, OlderNamesOfAVariantAreReadToo) {
  const auto truth = open_checkpoint(folder_.path() / "plain");
  rename_all("fp16", "\\.safetensors\\.index\\.fp16\\.json", ".fp16.safetensors.index.json");
  ASSERT_TRUE(fs::exists(folder_.path() / "fp16/unet/diffusion_pytorch_model.fp16.safetensors.index.json"));
  expect_same(open_checkpoint(folder_.path() / "fp16"), truth);
  rename_all("fp16", "\\.fp16-(0000.-of-0000.)\\.safetensors", "-$1.fp16.safetensors");
  ASSERT_TRUE(
      fs::exists(folder_.path() / "fp16/unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors"));
  expect_same(open_checkpoint(folder_.path() / "fp16"), truth);
}

TEST_F(DiffusersShards, AnotherVariantIsReadWhereThereIsNoneElse) {
  const auto truth = open_checkpoint(folder_.path() / "plain");
  rename_all("fp16", "fp16", "bf16");
  ASSERT_TRUE(fs::exists(folder_.path() / "fp16/unet/diffusion_pytorch_model.safetensors.index.bf16.json"));
  expect_same(open_checkpoint(folder_.path() / "fp16"), truth);
}

TEST_F(DiffusersShards, AShardThatIsNotThereIsNamed) {
  fs::remove(folder_.path() / "plain/unet/diffusion_pytorch_model-00002-of-00002.safetensors");
  EXPECT_THAT(error_of([&] { open_checkpoint(folder_.path() / "plain"); }),
              HasSubstr("diffusion_pytorch_model-00002-of-00002.safetensors"));
}

TEST_F(DiffusersShards, AnIndexThatWasCutShortIsNamed) {
  const auto index = folder_.path() / "fp16/unet/diffusion_pytorch_model.safetensors.index.fp16.json";
  const std::string text = weights::contents_of(index);
  std::ofstream(index, std::ios::binary) << text.substr(0, text.size() / 2);
  EXPECT_THAT(error_of([&] { open_checkpoint(folder_.path() / "fp16"); }),
              AllOf(HasSubstr("index.fp16.json"), HasSubstr("download it again")));
}

}  // namespace
}  // namespace lowrank::formats
