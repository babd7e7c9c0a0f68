// The table of families: told apart by what their files hold, each row complete.
#include "formats/family.h"

#include <gtest/gtest.h>

#include <set>

#include "formats/checkpoint/single_file.h"
#include "formats/crafted_models.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_summary.h"

namespace lowrank::formats {
namespace {

TEST(Family, EachIsFoundByItsNamesAndWidths) {
  std::set<std::string_view> labels, names;
  for (const FamilyRow& row : family_table()) {
    EXPECT_TRUE(labels.insert(row.label).second && names.insert(row.name).second) << row.name;
    EXPECT_EQ(family(row.model), &row);
    EXPECT_EQ(family_labelled(row.label), &row);
    EXPECT_EQ(family_of_context(row.context_width), &row);
    EXPECT_NE(row.unet_heads.count > 0, row.unet_heads.width > 0) << row.name;
    EXPECT_EQ(architecture_name(row.model), row.label);
    EXPECT_EQ(family_name(row.label), row.name);
    ASSERT_FALSE(row.text_encoders.empty());
    for (const TextEncoderRow& encoder : row.text_encoders)
      EXPECT_FALSE(encoder.root.empty() || encoder.folder.empty());
  }
  EXPECT_EQ(family(BaseModel::kOther), nullptr);
}

// Widths and roots as the publishers' configuration files have them.
TEST(Family, CheckpointsAreRecognisedByTheirTextEncodersAndByCrossAttention) {
  const TemporaryFolder folder;
  const auto recognised = [&](const std::string& text_key, std::int64_t context) {
    std::vector<Named> tensors = {
        {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", {2, context}}};
    if (!text_key.empty()) tensors.push_back({text_key, {1}});
    write_named(folder.path() / "m.safetensors", tensors);
    return recognise_checkpoint(*weights::TensorFile::open(folder.path() / "m.safetensors"));
  };
  EXPECT_EQ(recognised("cond_stage_model.transformer.text_model.final_layer_norm.bias", 32), BaseModel::kSd1);
  EXPECT_EQ(recognised("cond_stage_model.model.ln_final.bias", 32), BaseModel::kSd2);
  EXPECT_EQ(recognised("conditioner.embedders.1.model.ln_final.bias", 32), BaseModel::kSdxl);
  EXPECT_EQ(recognised("", 768), BaseModel::kSd1);
  EXPECT_EQ(recognised("", 1024), BaseModel::kSd2);
  EXPECT_EQ(recognised("", 2048), BaseModel::kSdxl);
  EXPECT_EQ(recognised("", 4096), BaseModel::kOther);
}

// Names as kohya's and Stability AI's own tools write them; the refiner's begin as SDXL's do.
TEST(Family, TrainersNamesTellEachFamily) {
  const auto by_version = [](std::string_view text) {
    const FamilyRow* row = family_by_trainer(&FamilyRow::kohya_version, text);
    return row == nullptr ? BaseModel::kOther : row->model;
  };
  EXPECT_EQ(by_version("sd_v1_v"), BaseModel::kSd1);
  EXPECT_EQ(by_version("sdxl_base_v0-9"), BaseModel::kSdxl);
  EXPECT_EQ(by_version("sdxl_refiner_v1-0"), BaseModel::kSdxlRefiner);
  EXPECT_EQ(by_version("flux1"), BaseModel::kOther);
  EXPECT_EQ(family_by_trainer(&FamilyRow::modelspec, "stable-diffusion-xl-v1-refiner/lora")->model,
            BaseModel::kSdxlRefiner);
  EXPECT_EQ(family_by_trainer(&FamilyRow::modelspec, "stable-diffusion-xl-v1-base/lora")->model,
            BaseModel::kSdxl);
  EXPECT_EQ(family(BaseModel::kSd2)->modelspec.of(PredictionType::kV), "stable-diffusion-v2-768-v");
  EXPECT_EQ(family(BaseModel::kSd2)->modelspec.of(PredictionType::kEpsilon), "stable-diffusion-v2-512");
  EXPECT_EQ(family(BaseModel::kSd1)->kohya_version.of(PredictionType::kV), "sd_v1_v");
  EXPECT_EQ(family(BaseModel::kSdxl)->kohya_version.of(PredictionType::kEpsilon), "sdxl_base_v1-0");
  for (const FamilyRow& row : family_table())
    for (const PredictionType type : {PredictionType::kEpsilon, PredictionType::kV})
      EXPECT_EQ(by_version(row.kohya_version.of(type)), row.model) << row.name;
}

}  // namespace
}  // namespace lowrank::formats
