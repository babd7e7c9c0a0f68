#include "formats/checkpoint/diffusers_names.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

// diffusers path → canonical path, from diffusers' own conversion (tools/fixtures/make_diffusers_names.py).
std::map<std::string, std::string> truth(const char* component) {
  const auto parsed = nlohmann::json::parse(weights::contents_of(fixture("names/diffusers.json")));
  return parsed[component].get<std::map<std::string, std::string>>();
}

template <typename Names>
void expect_both_ways(const std::map<std::string, std::string>& pairs) {
  std::vector<std::string> diffusers, canonical;
  for (const auto& [theirs, ours] : pairs) {
    diffusers.push_back(theirs);
    canonical.push_back(ours);
  }
  for (const auto& names : {Names::from_canonical(canonical), Names::from_diffusers(diffusers)}) {
    for (const auto& [theirs, ours] : pairs) {
      EXPECT_EQ(names.to_canonical(theirs).value_or("none"), ours) << theirs;
      EXPECT_EQ(names.to_diffusers(ours).value_or("none"), theirs) << ours;
      EXPECT_EQ(names.to_canonical(theirs + ".weight").value_or("none"), ours + ".weight");
      EXPECT_EQ(names.to_diffusers(ours + ".bias").value_or("none"), theirs + ".bias");
    }
  }
}

TEST(DiffusersNames, UnetLayersTranslateBothWaysAsDiffusersDoesIt) {
  expect_both_ways<UnetNames>(truth("unet"));
}

TEST(DiffusersNames, VaeLayersTranslateBothWaysAsDiffusersDoesIt) {
  expect_both_ways<VaeNames>(truth("vae"));
}

TEST(DiffusersNames, OtherDepthsFollowTheNumbersOfBlocks) {
  // Two levels of one residual block each, attention only below.
  const std::vector<std::string> canonical = {"input_blocks.0.0",
                                              "input_blocks.1.0.in_layers.0",
                                              "input_blocks.2.0.op",
                                              "input_blocks.3.0.in_layers.0",
                                              "input_blocks.3.1.norm",
                                              "middle_block.1.proj_in",
                                              "output_blocks.0.0.in_layers.0",
                                              "output_blocks.0.1.norm",
                                              "output_blocks.1.0.in_layers.0",
                                              "output_blocks.1.1.norm",
                                              "output_blocks.1.2.conv",
                                              "output_blocks.2.0.in_layers.0",
                                              "output_blocks.3.0.in_layers.0"};
  const auto names = UnetNames::from_canonical(canonical);
  EXPECT_EQ(names.to_diffusers("input_blocks.2.0.op"), "down_blocks.0.downsamplers.0.conv");
  EXPECT_EQ(names.to_diffusers("input_blocks.3.1.norm"), "down_blocks.1.attentions.0.norm");
  EXPECT_EQ(names.to_diffusers("output_blocks.1.2.conv"), "up_blocks.0.upsamplers.0.conv");
  EXPECT_EQ(names.to_diffusers("output_blocks.2.0.in_layers.0"), "up_blocks.1.resnets.0.norm1");
  EXPECT_EQ(names.to_canonical("up_blocks.1.resnets.1.norm1"), "output_blocks.3.0.in_layers.0");
}

TEST(DiffusersNames, SdxlBlocksFollowTheSameRule) {
  std::vector<std::string> canonical;
  for (const int block : {1, 2, 4, 5, 7, 8})
    canonical.push_back(fmt::format("input_blocks.{}.0.in_layers.0", block));
  for (const int block : {3, 6}) canonical.push_back(fmt::format("input_blocks.{}.0.op", block));
  for (int block = 0; block < 9; ++block)
    canonical.push_back(fmt::format("output_blocks.{}.0.in_layers.0", block));
  for (const int block : {2, 5}) canonical.push_back(fmt::format("output_blocks.{}.2.conv", block));
  const auto names = UnetNames::from_canonical(canonical);
  EXPECT_EQ(names.to_canonical("down_blocks.2.attentions.1.transformer_blocks.9.ff.net.2"),
            "input_blocks.8.1.transformer_blocks.9.ff.net.2");
  EXPECT_EQ(names.to_canonical("up_blocks.0.upsamplers.0.conv"), "output_blocks.2.2.conv");
  EXPECT_EQ(names.to_canonical("add_embedding.linear_2"), "label_emb.0.2");
}

TEST(DiffusersNames, WhatFitsNoRuleHasNoTranslation) {
  const auto pairs = truth("unet");
  std::vector<std::string> canonical;
  for (const auto& [theirs, ours] : pairs) canonical.push_back(ours);
  const auto unet = UnetNames::from_canonical(canonical);
  for (const char* path :
       {"", "down_blocks", "down_blocks.", "down_blocks.9.resnets.0.conv1", "down_blocks.0.resnets.2.conv1",
        "down_blocks.-1.resnets.0.conv1", "down_blocks.00.resnets.0.conv1", "down_blocks.0.resnets.0.conv3",
        "down_blocks.0.resnets.0.conv11", "down_blocks.3.downsamplers.0.conv", "down_blocks.99999999999.x",
        "up_blocks.3.upsamplers.0.conv", "mid_block.resnets", "conv_inn", "mid_block.foo.0.conv1"})
    EXPECT_EQ(unet.to_canonical(path), std::nullopt) << path;
  for (const char* path : {"", "input_blocks.0.1", "input_blocks.3.0.conv", "input_blocks.99.0.op", "out.1",
                           "middle_block", "output_blocks.12.0.in_layers.0", "input_blocks.1.2.norm"})
    EXPECT_EQ(unet.to_diffusers(path), std::nullopt) << path;
}

}  // namespace
}  // namespace lowrank::formats
