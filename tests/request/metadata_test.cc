// The parameters text against A1111's order, and back.
#include "request/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "request/field_table.h"

namespace lowrank::request {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The example of spec/prompt.md §10.2, word for word, but for the version.
TEST(Metadata, IsWrittenInA1111sOrder) {
  PictureFacts facts;
  GenerationRequest& r = facts.request;
  r.prompt = "3dmm style, 1girl, <lora:3dmm_V11:0.8>";
  r.negative_prompt = "(worst quality:1.4), lowres";
  r.sampler = "Euler a";
  r.seed = 1234;
  r.width = 512;
  r.height = 768;
  r.checkpoint = "v1-5-pruned-emaonly";
  r.vae = "vae-ft-mse-840000-ema-pruned.safetensors";
  r.clip_skip = 2;
  r.rng = "NV";
  facts.model_hash = "6ce0161689";
  facts.vae_hash = "735e4c3a44";
  facts.has_vae_file = true;
  facts.lora_hashes = {{"3dmm_V11", "6f5d0a2bd7e1"}};
  facts.version = "v1.10.1";
  EXPECT_EQ(picture_metadata(facts),
            "3dmm style, 1girl, <lora:3dmm_V11:0.8>\n"
            "Negative prompt: (worst quality:1.4), lowres\n"
            "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1234, Size: 512x768, "
            "Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, "
            "VAE: vae-ft-mse-840000-ema-pruned.safetensors, Clip skip: 2, RNG: NV, "
            "Lora hashes: \"3dmm_V11: 6f5d0a2bd7e1\", Version: v1.10.1");
}

TEST(Metadata, NumbersKeepTheFormInWhichTheyWereGiven) {
  GenerationRequest request;
  const auto* cfg = field_by_flag("cfg");
  ASSERT_NE(cfg, nullptr);
  for (const char* text : {"7", "7.0", "7.5", "1"}) {
    set_field(request, *cfg, text, "CFG scale");
    EXPECT_EQ(field_text(request, *cfg), text);
  }
}

TEST(Metadata, UnknownEntriesAreNamed) {
  GenerationRequest request;
  const auto unknown = apply_metadata(
      request,
      prompt::parse_infotext("a fox\nSteps: 5, Sampler: Euler, Seed: 3, Hypernet: foo, Size: 64x72"));
  EXPECT_THAT(unknown, ElementsAre("Hypernet"));
  EXPECT_EQ(request.steps, 5);
  EXPECT_EQ(request.width, 64);
  EXPECT_EQ(request.height, 72);
}

TEST(FieldTable, NamesAreUniqueAndLeadBack) {
  for (const auto& row : field_table()) {
    EXPECT_EQ(field_by_api(row.api), &row) << row.api;
    EXPECT_EQ(field_by_flag(row.flag), &row) << row.flag;
    if (!row.infotext.empty()) {
      EXPECT_EQ(field_by_infotext(row.infotext), &row) << row.infotext;
    }
    EXPECT_FALSE(row.help.empty());
  }
}

TEST(FieldTable, AFreshRequestIsInRange) {
  EXPECT_NO_THROW(check_request(GenerationRequest{}));
}

TEST(FieldTable, BadTextIsNamed) {
  GenerationRequest request;
  for (const auto& [flag, text] : {std::pair{"steps", "many"},
                                   {"steps", "0"},
                                   {"cfg", "nan"},
                                   {"steps", "2.5"},
                                   {"subseed-strength", "1.1"},
                                   {"pad-conds", "perhaps"},
                                   {"seed", ""}}) {
    const auto* row = field_by_flag(flag);
    ASSERT_NE(row, nullptr) << flag;
    try {
      set_field(request, *row, text, flag);
      ADD_FAILURE() << flag << " took '" << text << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadInput);
      EXPECT_THAT(error.what(), ::testing::StartsWith(flag));
    }
  }
}

}  // namespace
}  // namespace lowrank::request
