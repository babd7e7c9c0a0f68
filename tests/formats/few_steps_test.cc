#include "formats/few_steps.h"

#include <gtest/gtest.h>

namespace lowrank::formats {
namespace {

std::optional<FewStepModel> lora(std::string_view name) {
  return few_step_model({.kind = FewStepFile::kLora, .name = name});
}
std::optional<FewStepModel> checkpoint(std::string_view name) {
  return few_step_model({.kind = FewStepFile::kCheckpoint, .name = name});
}

struct Published {
  std::string_view name, method;
  int steps;
  double cfg;
  std::string_view sampler, schedule;
};

// Files as their publishers name them, and what fits them.
TEST(FewStepModels, PublishedLorasAreKnownByTheirNames) {
  for (const Published& file : std::initializer_list<Published>{
           {"lcm-lora-sdv1-5", "LCM", 4, 1, "LCM", "LCM"},
           {"LCM_LoRA_Weights_SD15", "LCM", 4, 1, "LCM", "LCM"},
           {"TCD-SDXL-LoRA", "TCD", 4, 1, "TCD", "LCM"},
           {"Hyper-SD15-4steps-lora", "Hyper-SD", 4, 1, "DDIM", "Trailing"},
           {"Hyper-SDXL-8steps-lora", "Hyper-SD", 8, 1, "DDIM", "Trailing"},
           {"Hyper-SDXL-8steps-CFG-lora", "Hyper-SD with CFG", 8, 5, "DDIM", "Trailing"},
           {"Hyper-SD15-12steps-CFG-lora", "Hyper-SD with CFG", 12, 5, "DDIM", "Trailing"},
           {"Hyper-SDXL-1step-lora", "Hyper-SD for any number of steps", 1, 1, "TCD", "LCM"},
           {"sdxl_lightning_4step_lora", "SDXL Lightning", 4, 1, "Euler", "Trailing"},
           {"sdxl_lightning_2step_lora", "SDXL Lightning", 2, 1, "Euler", "Trailing"},
           {"pcm_sd15_smallcfg_4step_converted", "PCM", 4, 1, "DDIM", "Trailing"},
           {"pcm_sdxl_normalcfg_8step_converted_fp16", "PCM", 8, 7.5, "DDIM", "Trailing"},
           {"pcm_sdxl_lcmlike_lora_converted", "PCM", 4, 1, "LCM", "LCM"},
           {"pcm_sd15_smallcfg_16step_converted", "PCM", 16, 1, "DDIM", "Trailing"},
           {"lcm-lora-ssd-1b", "LCM", 4, 1, "LCM", "LCM"},
           {"TCD-SD21-base-LoRA", "TCD", 4, 1, "TCD", "LCM"},
           {"sdxl_lcm_lora", "LCM", 4, 1, "LCM", "LCM"},
           {"sdxl_hyper_sd_4step_lora", "Hyper-SD", 4, 1, "DDIM", "Trailing"},
           {"dmd2_sdxl_4step_lora", "DMD2", 4, 1, "LCM", "Trailing"},
           {"dmd2_sdxl_4step_lora_fp16", "DMD2", 4, 1, "LCM", "Trailing"},
           {"sd_xl_turbo_lora_v1", "Turbo", 4, 1, "Euler a", "Trailing"}}) {
    const auto model = lora(file.name);
    ASSERT_TRUE(model) << file.name;
    EXPECT_EQ(model->method, file.method) << file.name;
    EXPECT_EQ(model->advice.steps, file.steps) << file.name;
    EXPECT_EQ(model->advice.cfg, file.cfg) << file.name;
    EXPECT_EQ(model->advice.samplers[0], file.sampler) << file.name;
    EXPECT_EQ(model->advice.schedules[0], file.schedule) << file.name;
    EXPECT_EQ(
        misfits(model->advice,
                {.steps = file.steps, .cfg = file.cfg, .sampler = file.sampler, .schedule = file.schedule}),
        "")
        << file.name;
  }
}

TEST(FewStepModels, CheckpointsAreKnownByTheirNames) {
  for (const auto& [name, method] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"sd_xl_turbo_1.0_fp16", "Turbo"},
           {"sd_turbo", "Turbo"},
           {"realvisxlV40_v40Turbo", "Turbo"},
           {"dreamshaperXL_lightningDPMSDE", "SDXL Lightning"},
           {"juggernautXL_v9Rdphoto2Lightning", "SDXL Lightning"},
           {"sdxl_lightning_8step", "SDXL Lightning"},
           {"dreamshaper_8LCM", "LCM"},
           {"dmd2_sdxl_4step_unet_fp16", "DMD2"},
           {"juggernautXL_juggXILightningByRD", "SDXL Lightning"},
           {"sd_xl_turbo_1.0", "Turbo"},
           {"DreamShaperXL_Turbo_v2_1", "Turbo"},
           {"dreamshaperXL_sfwV2TurboDPMPPSDE", "Turbo"},
           {"LCM_Dreamshaper_v7_4k", "LCM"},
           {"LCMTurboMix_LCM_Sampler", "LCM"},
           {"lustifySDXLNSFW_endgameDMD2", "DMD2"},
           {"RealVisXL_V4.0_HyperSDXL", "Hyper-SD"}}) {
    const auto model = checkpoint(name);
    ASSERT_TRUE(model) << name;
    EXPECT_EQ(model->method, method) << name;
  }
}

// Words that mean something else.
TEST(FewStepModels, OtherNamesAreNone) {
  for (const std::string_view name :
       {"lightning_bolts", "purple-lightning-style", "turbo_car", "HyperRealistic", "hyperdetailed_v2",
        "step_by_step", "2steps_dance", "dmd_character", "pcm", "lotus_position", "", "_", "steps"})
    EXPECT_FALSE(lora(name)) << name;
  for (const std::string_view name :
       {"hyperRealism_v3", "v1-5-pruned-emaonly", "sd_xl_base_1.0", "turbografx"})
    EXPECT_FALSE(checkpoint(name)) << name;
}

// pytorch_lora_weights.safetensors is the name of LCM's LoRA for each family, and of thousands of others.
TEST(FewStepModels, AHashTellsWhatANameDoesNot) {
  FewStepEvidence evidence{.name = "pytorch_lora_weights", .auto_v3 = "AAEBF6360F7D"};
  ASSERT_TRUE(few_step_model(evidence));
  EXPECT_EQ(few_step_model(evidence)->method, "LCM");
  EXPECT_EQ(few_step_model(evidence)->known_by, "its hash");
  evidence.auto_v3 = "aaebf6360f7e";
  EXPECT_FALSE(few_step_model(evidence));
  evidence.auto_v3 = "";
  EXPECT_FALSE(few_step_model(evidence));
}

TEST(FewStepModels, MetadataAndKeysTellToo) {
  const std::map<std::string, std::string> metadata = {{"ss_output_name", "my_sdxl_lightning_4step_mix"}};
  const auto stated = few_step_model({.name = "renamed", .metadata = &metadata});
  ASSERT_TRUE(stated);
  EXPECT_EQ(stated->method, "SDXL Lightning");
  EXPECT_EQ(stated->known_by, "its metadata");
  EXPECT_EQ(stated->advice.steps, 4);
  const auto keyed =
      few_step_model({.kind = FewStepFile::kCheckpoint, .name = "anything", .has_guidance_input = true});
  ASSERT_TRUE(keyed);
  EXPECT_EQ(keyed->method, "LCM");
  EXPECT_EQ(keyed->known_by, "its keys");
}

TEST(FewStepModels, MisfitsNameWhatDoesNotFit) {
  const FewStepAdvice advice = lora("sdxl_lightning_4step_lora")->advice;
  EXPECT_EQ(advised(advice), "4 steps, CFG scale 1, sampler Euler, schedule Trailing");
  EXPECT_EQ(misfits(advice, {.steps = 20, .cfg = 7, .sampler = "DPM++ 2M", .schedule = "Karras"}),
            "20 steps, CFG scale 7, sampler DPM++ 2M");
  EXPECT_EQ(misfits(advice, {.steps = 4, .cfg = 1, .sampler = "Euler", .schedule = "Karras"}),
            "schedule Karras");
  EXPECT_EQ(misfits(advice, {.steps = 4, .cfg = 1.5, .sampler = "Euler", .schedule = "SGM Uniform"}), "");
  // "Always use the correct checkpoint for the corresponding inference steps", as the publisher has it.
  EXPECT_EQ(misfits(advice, {.steps = 8, .cfg = 1, .sampler = "Euler", .schedule = "Trailing"}), "8 steps");
  EXPECT_EQ(misfits(advice, {.steps = 1, .cfg = 0.5, .sampler = "Euler", .schedule = "Trailing"}),
            "1 step, CFG scale 0.5");
}

// The publishers' ranges: Hyper-SD's CFG LoRAs 5 to 8, LCM 2 to 8 steps and guidance up to 2, SDXL Turbo 1 to 4 steps.
TEST(FewStepModels, RangesAreThePublishers) {
  const auto fits = [](const FewStepAdvice& advice, int steps, double cfg) {
    return misfits(
               advice,
               {.steps = steps, .cfg = cfg, .sampler = advice.samplers[0], .schedule = advice.schedules[0]})
        .empty();
  };
  const FewStepAdvice hyper = lora("Hyper-SDXL-8steps-CFG-lora")->advice;
  EXPECT_TRUE(fits(hyper, 8, 5) && fits(hyper, 8, 8));
  EXPECT_FALSE(fits(hyper, 8, 4) || fits(hyper, 8, 9) || fits(hyper, 8, 1));
  const FewStepAdvice lcm = lora("lcm-lora-sdxl")->advice;
  EXPECT_TRUE(fits(lcm, 2, 1) && fits(lcm, 8, 2));
  EXPECT_FALSE(fits(lcm, 1, 1) || fits(lcm, 9, 1) || fits(lcm, 4, 2.5));
  const FewStepAdvice turbo = checkpoint("sd_xl_turbo_1.0_fp16")->advice;
  EXPECT_TRUE(fits(turbo, 1, 1) && fits(turbo, 4, 1));
  EXPECT_FALSE(fits(turbo, 5, 1));
  // Where there is one step there is nothing to space.
  EXPECT_EQ(misfits(turbo, {.steps = 1, .cfg = 1, .sampler = "Euler a", .schedule = "Karras"}), "");
  EXPECT_EQ(misfits(turbo, {.steps = 4, .cfg = 1, .sampler = "Euler a", .schedule = "Karras"}),
            "schedule Karras");
}

// Files that no settings here fit: the 1-step U-Nets, which begin at a timestep of their own, and one that predicts the picture.
TEST(FewStepModels, WhatCannotBeDrawnSaysWhatToTake) {
  for (const auto& [name, instead] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"sdxl_lightning_1step_x0", "sdxl_lightning_2step"},
           {"sdxl_lightning_1step_unet_x0", "sdxl_lightning_2step"},
           {"Hyper-SDXL-1step-Unet-Comfyui.fp16", "Hyper-SDXL-1step-lora"},
           {"dmd2_sdxl_1step_unet_fp16", "dmd2_sdxl_4step"}}) {
    const auto model = checkpoint(name);
    ASSERT_TRUE(model) << name;
    EXPECT_NE(model->caution.find(instead), std::string_view::npos) << name;
  }
  EXPECT_EQ(lora("Hyper-SDXL-1step-lora")->caution, "");
  EXPECT_EQ(checkpoint("sdxl_lightning_4step")->caution, "");
}

}  // namespace
}  // namespace lowrank::formats
