// Files that hold a part of a checkpoint: named, told what they lack, and used where they can be.
#include "formats/checkpoint/partial_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <tuple>

#include "formats/crafted_models.h"
#include "formats/file_kind.h"

namespace lowrank::formats {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PartialCheckpoint : public ::testing::Test {
 protected:
  // The U-Net's names of a fixture, each under `root`, with a cross-attention of that width.
  std::filesystem::path lone_unet_file(const std::string& set, const std::string& root, std::int64_t context,
                                       const std::string& beside = "-") {
    constexpr std::string_view kRoot = "model.diffusion_model.";
    const auto file = weights::TensorFile::open(fixture(set + "/" + set + ".safetensors"));
    std::vector<Named> tensors;
    for (const auto& view : file->tensors()) {
      if (view.name.starts_with(beside)) tensors.push_back({view.name, {1}});
      if (!view.name.starts_with(kRoot)) continue;
      const bool sees_text = view.name.ends_with("attn2.to_k.weight");
      tensors.push_back({root + view.name.substr(kRoot.size()), sees_text ? Shape{1, context} : Shape{1}});
    }
    return write(tensors);
  }
  std::filesystem::path write(const std::vector<Named>& tensors) {
    const auto path = folder_.path() / "unet.safetensors";
    write_named(path, tensors);
    return path;
  }
  // A fixture without the tensors whose keys begin so.
  std::filesystem::path without(const std::string& set, const std::string& root) {
    const auto file = weights::TensorFile::open(fixture(set + "/" + set + ".safetensors"));
    std::vector<weights::TensorView> rest;
    for (const auto& view : file->tensors())
      if (!view.name.starts_with(root)) rest.push_back(view);
    const auto path = folder_.path() / "part.safetensors";
    weights::write_safetensors(path, rest, file->metadata());
    return path;
  }

  TemporaryFolder folder_;
};

// Prefixes as ComfyUI saves a U-Net, as its checkpoints and as pruning tools do.
TEST_F(PartialCheckpoint, AUnetAloneIsNamedUnderAnyRoot) {
  for (const std::string root : {"model.diffusion_model.", "diffusion_model.", ""}) {
    for (const auto& [set, context, model, name] :
         {std::tuple("sd15-tiny", 768, BaseModel::kSd1, "an SD 1.x"),
          std::tuple("sd2-tiny", 1024, BaseModel::kSd2, "an SD 2.x"),
          std::tuple("sdxl-tiny", 2048, BaseModel::kSdxl, "an SDXL"),
          std::tuple("sdxl-refiner-tiny", 1280, BaseModel::kSdxlRefiner, "an SDXL refiner")}) {
      const auto path = lone_unet_file(set, root, context);
      const auto parts = open_parts(path);
      EXPECT_EQ(parts.base_model, model) << root;
      EXPECT_GT(parts[Component::kUnet].size(), 100u);
      EXPECT_EQ(missing_components(parts).size(), family(model)->text_encoders.size() + 1);
      EXPECT_EQ(describe_file(*weights::TensorFile::open(path)),
                fmt::format("the U-Net of {} checkpoint, alone", name));
      EXPECT_THAT(error_of([&] { open_checkpoint(path); }),
                  AllOf(HasSubstr(path.string()), HasSubstr(name), HasSubstr("without text encoder and VAE"),
                        HasSubstr("choose the whole checkpoint")));
    }
  }
}

TEST_F(PartialCheckpoint, AUnetInDiffusersNamesIsNamedToo) {
  std::vector<Named> tensors;
  const auto names = nlohmann::json::parse(weights::contents_of(fixture("names/diffusers.json")));
  const auto whole = open_checkpoint(tiny_model());
  for (const auto& [theirs, ours] : names["unet"].get<std::map<std::string, std::string>>())
    for (const char* parameter : {".weight", ".bias"})
      if (whole[Component::kUnet].contains(ours + parameter))
        tensors.push_back({theirs + parameter, theirs.ends_with("attn2.to_k") ? Shape{1, 768} : Shape{1}});
  const auto path = write(tensors);
  const auto parts = open_parts(path);
  EXPECT_EQ(parts.base_model, BaseModel::kSd1);
  EXPECT_EQ(parts[Component::kUnet].size(), whole[Component::kUnet].size());
  EXPECT_THAT(error_of([&] { open_checkpoint(path); }),
              AllOf(HasSubstr("the U-Net of an SD 1.x checkpoint, alone"), HasSubstr("model_index.json")));
}

// Half of a U-Net is a ControlNet, which has a name of its own.
TEST_F(PartialCheckpoint, AControlNetIsNoUnet) {
  const auto control = write({{"input_blocks.0.0.weight", {1}}, {"input_hint_block.0.weight", {1}}});
  EXPECT_EQ(describe_file(*weights::TensorFile::open(control)), "a ControlNet");
}

TEST_F(PartialCheckpoint, WithoutAVaeItDrawsWithAnother) {
  for (const char* set : {"sd15-tiny", "sd2-tiny", "sdxl-tiny", "sdxl-refiner-tiny"}) {
    const auto path = without(set, "first_stage_model.");
    EXPECT_THAT(error_of([&] { open_checkpoint(path); }),
                AllOf(HasSubstr("lacks its VAE"), HasSubstr("--vae")));
    const auto checkpoint = open_without_vae(path);
    EXPECT_FALSE(checkpoint[Component::kUnet].empty());
    EXPECT_THAT(missing_components(checkpoint), ElementsAre(Component::kVae));
  }
}

TEST_F(PartialCheckpoint, AMissingTextEncoderIsNamed) {
  for (const auto& [root, name] :
       {std::pair("conditioner.embedders.0.", "text encoder"),
        std::pair("conditioner.embedders.1.model.ln_final.bias", "second text encoder")}) {
    const auto path = without("sdxl-tiny", root);
    EXPECT_THAT(error_of([&] { open_checkpoint(path); }),
                AllOf(HasSubstr("part.safetensors"), HasSubstr(name), HasSubstr("download")));
  }
  // Without any, the width of cross-attention tells the family.
  for (const auto& [set, context] : {std::pair("sd2-tiny", 1024), std::pair("sdxl-refiner-tiny", 1280)}) {
    const auto path = lone_unet_file(set, "model.diffusion_model.", context, "first_stage_model.");
    EXPECT_THAT(error_of([&] { open_checkpoint(path); }),
                AllOf(HasSubstr("unet.safetensors"), HasSubstr("lacks its"), HasSubstr("text encoder"),
                      HasSubstr("download")));
  }
}

TEST_F(PartialCheckpoint, OneThatWasCutShortIsRefusedWithTheFile) {
  for (const std::string set : {"sd2-tiny", "sdxl-tiny", "sdxl-refiner-tiny"}) {
    const std::string whole = weights::contents_of(fixture(set + "/" + set + ".safetensors"));
    for (const std::size_t kept : {whole.size() - 1, whole.size() / 2, std::size_t{4000}, std::size_t{5}}) {
      const auto path = folder_.write("cut.safetensors", whole.substr(0, kept));
      EXPECT_THAT(error_of([&] { open_checkpoint(folder_.path() / "cut.safetensors"); }),
                  AllOf(HasSubstr("cut.safetensors"), HasSubstr("again")))
          << set << " " << kept;
    }
  }
}

}  // namespace
}  // namespace lowrank::formats
