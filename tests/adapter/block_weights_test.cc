#include "adapter/block_weights.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "formats/checkpoint/checkpoint.h"
#include "weights/crafted.h"

namespace lowrank::adapter {
namespace {

using formats::Component;
using formats::LayerAddress;

LayerAddress unet(const std::string& path) {
  return {Component::kUnet, path};
}
const LayerAddress kText{Component::kTextEncoder, "encoder.layers.0.mlp.fc1"};

BlockWeights parsed(const std::string& weights, const std::string& elements = "",
                    std::optional<double> base = {}) {
  std::vector<std::string> warnings;
  auto result =
      BlockWeights::parse({.weights = weights, .elements = elements, .base = base, .seed = 5}, warnings);
  EXPECT_TRUE(warnings.empty()) << warnings.front();
  return result;
}

TEST(BlockWeights, LayersKnowTheirBlock) {
  EXPECT_EQ(block_of(unet("input_blocks.4.1.proj_in")), "IN04");
  EXPECT_EQ(block_of(unet("middle_block.1.proj_in")), "M00");
  EXPECT_EQ(block_of(unet("output_blocks.11.0.in_layers.2")), "OUT11");
  EXPECT_EQ(block_of(unet("time_embed.0")), "");
  EXPECT_EQ(block_of(kText), "BASE");
}

TEST(BlockWeights, SeventeenValuesLeaveUnnamedBlocksAtZeroAndTheRestAtOne) {
  const auto weights = parsed("0.1,1,2,4,5,7,8,9,13,14,15,16,17,18,19,20,21");
  EXPECT_EQ(weights.at(kText), 0.1);
  EXPECT_EQ(weights.at(unet("input_blocks.1.1.proj_in")), 1);
  EXPECT_EQ(weights.at(unet("input_blocks.4.1.proj_in")), 4);
  EXPECT_EQ(weights.at(unet("input_blocks.3.0.op")), 0);
  EXPECT_EQ(weights.at(unet("middle_block.0.in_layers.2")), 9);
  EXPECT_EQ(weights.at(unet("output_blocks.2.0.in_layers.2")), 0);
  EXPECT_EQ(weights.at(unet("output_blocks.11.1.proj_in")), 21);
  EXPECT_EQ(weights.at(unet("out.2")), 1);
}

TEST(BlockWeights, PresetsAreKnownByName) {
  EXPECT_EQ(parsed("INS").at(unet("input_blocks.4.1.proj_in")), 1);
  EXPECT_EQ(parsed("INS").at(unet("input_blocks.5.1.proj_in")), 0);
  EXPECT_EQ(parsed("OUTALL").at(unet("output_blocks.3.1.proj_in")), 1);
  EXPECT_EQ(parsed("OUTALL").at(unet("middle_block.1.proj_in")), 0);
  EXPECT_EQ(parsed("ALL0.5").at(kText), 0.5);
  EXPECT_TRUE(parsed("").is_neutral());
}

TEST(BlockWeights, XIsRelativeToTheBaseAndRIsRandomInRange) {
  const auto weights = parsed("X,X+0.2,X-0.2,R,U,0,0,0,0,0,0,0,0,0,0,0,0", "", 0.6);
  EXPECT_DOUBLE_EQ(weights.at(kText), 0.6);
  EXPECT_DOUBLE_EQ(weights.at(unet("input_blocks.1.1.proj_in")), 0.8);
  EXPECT_DOUBLE_EQ(weights.at(unet("input_blocks.2.1.proj_in")), 0.4);
  const double r = weights.at(unet("input_blocks.4.1.proj_in")),
               u = weights.at(unet("input_blocks.5.1.proj_in"));
  EXPECT_TRUE(r >= 0 && r < 1);
  EXPECT_TRUE(u >= -0.5 && u < 1.5);
}

TEST(BlockWeights, ElementRulesReplaceValuesInTheirRange) {
  const auto weights = parsed("ALL", "ATTNDEEPOFF");
  EXPECT_EQ(weights.at(unet("input_blocks.4.1.transformer_blocks.0.attn1.to_q")), 1);
  EXPECT_EQ(weights.at(unet("input_blocks.5.1.transformer_blocks.0.attn1.to_q")), 0);
  EXPECT_EQ(weights.at(unet("input_blocks.5.1.transformer_blocks.0.ff.net.2")), 1);
  EXPECT_EQ(weights.at(unet("output_blocks.6.1.transformer_blocks.0.attn1.to_q")), 1);
}

TEST(BlockWeights, WhatIsNotUnderstoodStaysAtOneWithAWarning) {
  for (const auto& [text, reason] :
       std::map<std::string, std::string>{{"NOSUCH", "not a known block weight preset"},
                                          {"1,2,3", "3 block weights"},
                                          {"1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,abc", "not a number"}}) {
    std::vector<std::string> warnings;
    EXPECT_TRUE(BlockWeights::parse({.weights = text}, warnings).is_neutral()) << text;
    EXPECT_THAT(warnings, ::testing::ElementsAre(::testing::HasSubstr(reason)));
  }
  std::vector<std::string> warnings;
  BlockWeights::parse({.elements = "NOSUCHRULE"}, warnings);
  EXPECT_THAT(warnings, ::testing::ElementsAre(::testing::HasSubstr("NOSUCHRULE")));
}

// The four forms as sd-webui-lora-block-weight publishes them, on every layer of a model of each family: the block that a form
// names has its value, a block that it does not name 0, and what lies in no block 1.
TEST(BlockWeights, EachFormActsOnTheLayersOfEachFamilyThatItNames) {
  const std::map<std::size_t, std::string> forms = {
      {12, "BASE IN04 IN05 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05"},
      {17, "BASE IN01 IN02 IN04 IN05 IN07 IN08 M00 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11"},
      {20,
       "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05 OUT06 "
       "OUT07 "
       "OUT08"},
      {26,
       "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 IN09 IN10 IN11 M00 OUT00 OUT01 OUT02 OUT03 OUT04 "
       "OUT05 "
       "OUT06 OUT07 OUT08 OUT09 OUT10 OUT11"}};
  // "output_blocks.3.1.proj_in" → OUT03, by hand.
  const auto block_in = [](Component component, const std::string& path) -> std::string {
    if (component != Component::kUnet) return "BASE";
    if (path.starts_with("middle_block.")) return "M00";
    const bool is_in = path.starts_with("input_blocks."), is_out = path.starts_with("output_blocks.");
    if (!is_in && !is_out) return "";
    std::string number = path.substr(path.find('.') + 1);
    number = number.substr(0, number.find('.'));
    return (is_in ? "IN" : "OUT") + std::string(2 - number.size(), '0') + number;
  };
  for (const auto& [count, text] : forms) {
    std::map<std::string, double> values;
    std::string list;
    std::istringstream names(text);
    for (std::string name; names >> name;) {
      const double value = 0.01 * static_cast<double>(values.size() + 2);
      values[name] = value;
      list += fmt::format("{}{}", list.empty() ? "" : ",", value);
    }
    ASSERT_EQ(values.size(), count);
    const auto weights = parsed(list);
    for (const std::string set : {"sd15-tiny", "sd2-tiny", "sdxl-tiny"}) {
      const auto checkpoint = formats::open_checkpoint(weights::fixture(set + "/" + set + ".safetensors"));
      std::set<std::string> met;
      for (const auto& [component, views] : checkpoint.parts) {
        if (component == Component::kVae) continue;
        for (const auto& [name, view] : views) {
          const std::string path = name.substr(0, name.rfind('.')), block = block_in(component, path);
          const auto value = values.find(block);
          const double expected = block.empty() ? 1 : value == values.end() ? 0 : value->second;
          ASSERT_EQ(weights.at({component, path}), expected) << set << " " << count << " " << path;
          met.insert(block);
        }
      }
      // SDXL has three levels, and so nine blocks on either side.
      EXPECT_EQ(met.contains("OUT08"), true) << set;
      EXPECT_EQ(met.contains("OUT09"), set != "sdxl-tiny") << set;
    }
  }
}

}  // namespace
}  // namespace lowrank::adapter
