#include "formats/subfamily.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lowrank::formats {
namespace {

struct NameRow {
  const char *name, *subfamily;
};

std::string by_name(const std::string& name, std::string_view architecture = "SDXL") {
  return recognise_subfamily(
             {.user = "", .site = "", .metadata = {}, .names = {name}, .architecture = architecture})
      .name;
}

std::string by_site(const std::string& site) {
  return recognise_subfamily({.user = "", .site = site, .metadata = {}, .names = {}, .architecture = ""})
      .name;
}

// The file names under which the models and what was trained on them were published.
TEST(Subfamily, PublishedFileNamesAreRecognised) {
  for (const auto& [name, subfamily] :
       {NameRow{"ponyDiffusionV6XL_v6StartWithThisOne", "Pony"}, NameRow{"cyberrealisticPony_v160", "Pony"},
        NameRow{"illustriousXL_v01", "Illustrious"}, NameRow{"Illustrious-XL-v0.1", "Illustrious"},
        NameRow{"noobaiXLNAIXL_vPred10Version", "NoobAI"}, NameRow{"NoobAI-XL-v1.1", "NoobAI"},
        NameRow{"animagine-xl-3.1", "Animagine"}, NameRow{"sd_xl_turbo_1.0_fp16", "SDXL Turbo"},
        NameRow{"sdxl_lightning_4step_lora", "SDXL Lightning"},
        NameRow{"Hyper-SDXL-8steps-lora", "SDXL Hyper"}, NameRow{"dmd2_sdxl_4step_lora", "SDXL DMD2"},
        NameRow{"playground-v2.5-1024px-aesthetic.fp16", "Playground v2.5"},
        NameRow{"playground-v2-1024px-aesthetic", "Playground v2"}, NameRow{"SSD-1B", "SSD-1B"},
        NameRow{"Segmind-Vega", "Segmind Vega"}})
    EXPECT_EQ(by_name(name), subfamily) << name;
  for (const char* name : {"sd_xl_base_1.0", "ponytail_hair", "lightning_effect", "hyperdetailed",
                           "turbocharged_car", "Juggernaut-XL_v9"})
    EXPECT_EQ(by_name(name), "") << name;
  EXPECT_EQ(by_name("my-pony", "SD1"), "");  // the keys know better than a name
}

// The values of "baseModel" that Civitai gives.
TEST(Subfamily, SitesWordsAreRecognised) {
  for (const auto& [site, subfamily] :
       {NameRow{"Pony", "Pony"}, NameRow{"Illustrious", "Illustrious"}, NameRow{"NoobAI", "NoobAI"},
        NameRow{"SDXL Turbo", "SDXL Turbo"}, NameRow{"SDXL Lightning", "SDXL Lightning"},
        NameRow{"SDXL Hyper", "SDXL Hyper"}, NameRow{"SDXL 1.0 LCM", "SDXL LCM"},
        NameRow{"Playground v2", "Playground v2"}, NameRow{"PlaygroundV2.5", "Playground v2.5"},
        NameRow{"Kolors", "Kolors"}, NameRow{"SD 1.5 LCM", "SD 1.5 LCM"},
        NameRow{"SD 1.5 Hyper", "SD 1.5 Hyper"}, NameRow{"SDXL 1.0", ""}, NameRow{"SD 1.5", ""},
        NameRow{"Other", ""}})
    EXPECT_EQ(by_site(site), subfamily) << site;
}

TEST(Subfamily, TheSurerWordCountsAndAConflictWithTheKeysIsTold) {
  SubfamilyHints hints{.user = "",
                       .site = "Illustrious",
                       .metadata = {{"ss_sd_model_name", "ponyDiffusionV6XL.safetensors"}},
                       .names = {"fox_noobai"},
                       .architecture = "SDXL"};
  EXPECT_EQ(recognise_subfamily(hints).origin, "site");
  hints.user = "noobai";
  EXPECT_EQ(recognise_subfamily(hints).name, "NoobAI");
  hints.user = hints.site = "";
  const Subfamily metadata = recognise_subfamily(hints);
  EXPECT_EQ(metadata.name, "Pony");
  EXPECT_EQ(metadata.reason, "metadata ss_sd_model_name says 'ponyDiffusionV6XL.safetensors'");
  EXPECT_EQ(metadata.conflict, "");
  hints.site = "Pony";
  hints.architecture = "SD1";
  const Subfamily wrong = recognise_subfamily(hints);
  EXPECT_EQ(wrong.name, "Pony");
  EXPECT_EQ(wrong.conflict, "Pony is a kind of SDXL, but its layers are those of SD 1.x");
}

// A page's word for a whole family can be wrong as well, whatever else is said of the file.
TEST(Subfamily, APageThatNamesAnotherFamilyThanTheKeysIsTold) {
  struct Row {
    const char *site, *architecture, *conflict;
  };
  for (const auto& [site, architecture, conflict] :
       {Row{"SDXL 1.0", "SD1", "its page says 'SDXL 1.0', but its layers are those of SD 1.x"},
        Row{"SD 1.5", "SDXL", "its page says 'SD 1.5', but its layers are those of SDXL"},
        Row{"SD 2.1 768", "SD1", "its page says 'SD 2.1 768', but its layers are those of SD 1.x"},
        Row{"SD 1.5", "SD1", ""}, Row{"SDXL 1.0", "SDXL", ""}, Row{"SDXL 1.0", "", ""},
        Row{"Other", "SD1", ""}})
    EXPECT_EQ(recognise_subfamily(
                  {.user = "", .site = site, .metadata = {}, .names = {"fox"}, .architecture = architecture})
                  .conflict,
              conflict)
        << site << " " << architecture;
}

TEST(Subfamily, TheUserCanSayThatItHasNone) {
  const Subfamily plain = recognise_subfamily({.user = "None",
                                               .site = "Pony",
                                               .metadata = {{"ss_sd_model_name", "ponyDiffusionV6XL"}},
                                               .names = {"pony"},
                                               .architecture = "SDXL"});
  EXPECT_EQ(plain.name, "");
  EXPECT_EQ(plain.origin, "user");
  EXPECT_EQ(plain.conflict, "");
  EXPECT_EQ(subfamily_meant("NONE"), "none");
  EXPECT_EQ(subfamily_meant("noob ai"), "NoobAI");
  EXPECT_EQ(subfamily_meant("horse"), std::nullopt);
}

// What makes any checkpoint draw in few steps is made for no offspring.
TEST(Subfamily, MethodsOfFewStepsFitAllOffspring) {
  EXPECT_EQ(subfamily_hint("SDXL Lightning", "Pony"), "");
  EXPECT_EQ(subfamily_hint("Pony", "SDXL DMD2"), "");
}

TEST(Subfamily, AnotherOffspringIsAHintOnly) {
  EXPECT_EQ(subfamily_hint("Pony", "Illustrious"),
            "made for Pony; this checkpoint is Illustrious: it may look different");
  EXPECT_EQ(subfamily_hint("Pony", "Pony"), "");
  EXPECT_EQ(subfamily_hint("", "Pony"), "");
  EXPECT_EQ(subfamily_hint("Pony", ""), "");
}

}  // namespace
}  // namespace lowrank::formats
