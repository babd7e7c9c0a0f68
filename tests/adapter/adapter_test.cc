#include "adapter/adapter.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "adapter/stack.h"
#include "adapter/tiny_model.h"
#include "base/error.h"

namespace lowrank::adapter {
namespace {

using formats::Component;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::RandomKind;
using testing::TinyModel;
using testing::write_and_open;

std::string error_of(const formats::LoraFile& file, const TinyModel& model) {
  try {
    Adapter::match(file, testing::parts_of(model.unet, model.text_encoder));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

const Target* find(const Adapter& adapter, const std::string& module) {
  for (const Target& target : adapter.targets())
    if (target.module == module) return &target;
  return nullptr;
}

TEST(AdapterMatch, FindsLayersUnderDiffusersAndCheckpointNames) {
  const TinyModel model;
  const auto diff = [&](Component component, const std::string& path) {
    return at::zeros_like(model.layers(component).at(path)->weight());
  };
  const std::map<std::string, std::string> cases = {
      {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
       "input_blocks.1.1.transformer_blocks.0.attn2.to_k"},
      {"lora_unet_input_blocks_1_1_proj_in", "input_blocks.1.1.proj_in"},
      {"lora_unet_down_blocks_0_downsamplers_0_conv", "input_blocks.2.0.op"},
      {"lora_unet_mid_block_resnets_1_time_emb_proj", "middle_block.2.emb_layers.1"},
      {"lora_unet_conv_in", "input_blocks.0.0"},
  };
  tensor::StateDict state;
  for (const auto& [module, path] : cases) state[module + ".diff"] = diff(Component::kUnet, path);
  state["lora_te_text_model_encoder_layers_1_mlp_fc2.diff"] =
      diff(Component::kTextEncoder, "encoder.layers.1.mlp.fc2");
  const auto adapter =
      Adapter::match(write_and_open("names", state), testing::parts_of(model.unet, model.text_encoder));
  EXPECT_TRUE(adapter->skipped().empty());
  for (const auto& [module, path] : cases) {
    const Target* target = find(*adapter, module);
    ASSERT_NE(target, nullptr) << module;
    EXPECT_EQ(target->path, path);
  }
  EXPECT_EQ(find(*adapter, "lora_te_text_model_encoder_layers_1_mlp_fc2")->component,
            Component::kTextEncoder);
}

TEST(AdapterMatch, EveryKeyIsAppliedSkippedOrUnknownExactlyOnce) {
  const TinyModel model;
  tensor::StateDict state = testing::random_lora(model, RandomKind::kLora, 5);
  const std::string first = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  state[first + ".lora_up.weight"] = at::zeros({7, 3});  // misfit
  state["lora_unet_down_blocks_9_attentions_0_proj_in.lora_down.weight"] =
      at::zeros({3, 4});  // no such layer
  state["lora_unet_down_blocks_9_attentions_0_proj_in.lora_up.weight"] = at::zeros({4, 3});
  state["lora_unet_mid_block_resnets_0_conv1.lora_down.weight"] = at::zeros({3, 4, 3, 3});  // no up
  state["lora_unet_mid_block_resnets_0_conv2.diff"] = at::zeros({2});                       // misfit
  state["lora_te2_text_model_encoder_layers_0_mlp_fc1.diff"] = at::zeros({2});              // SDXL's encoder
  state["something.else"] = at::zeros({1});                                                 // unknown
  state["lora_unet_mid_block_resnets_0_norm1.lora_down.weight"] = at::zeros({3, 64});       // LoRA on a norm
  state["lora_unet_mid_block_resnets_0_norm1.lora_up.weight"] = at::zeros({64, 3});
  TinyModel other;
  const auto adapter =
      Adapter::match(write_and_open("mixed", state), testing::parts_of(model.unet, model.text_encoder));
  std::multiset<std::string> seen(adapter->file().unknown.begin(), adapter->file().unknown.end());
  for (const Target& target : adapter->targets()) seen.insert(target.keys.begin(), target.keys.end());
  for (const auto& skipped : adapter->skipped()) {
    seen.insert(skipped.keys.begin(), skipped.keys.end());
    EXPECT_NE(skipped.reason, "") << skipped.module;
  }
  std::multiset<std::string> keys;
  for (const auto& [key, tensor] : state) keys.insert(key);
  EXPECT_EQ(seen, keys);
  EXPECT_EQ(find(*adapter, first), nullptr);

  AdapterStack stack;
  const ActiveAdapter active{.adapter = adapter};
  stack.apply({&active, 1}, testing::parts_of(other.unet, other.text_encoder));
  const ApplyReport report = stack.reports().front();
  EXPECT_EQ(report.keys_applied + report.keys_skipped + report.keys_unknown, report.keys_total);
  EXPECT_EQ(report.keys_total, static_cast<std::int64_t>(state.size()));
  EXPECT_THAT(text(report),
              AllOf(HasSubstr("has no such layer"), HasSubstr("lora_up.weight is [7, 3]"),
                    HasSubstr("unknown       something.else"), HasSubstr("second text encoder")));
}

TEST(AdapterMatch, LayerAddressedTwiceIsSkipped) {
  const TinyModel model;
  tensor::StateDict state = testing::random_lora(model, RandomKind::kFull, 5);
  state["lora_unet_input_blocks_1_1_proj_in.diff"] =
      at::zeros_like(model.unet.layers().at("input_blocks.1.1.proj_in")->weight());
  const auto adapter =
      Adapter::match(write_and_open("twice", state), testing::parts_of(model.unet, model.text_encoder));
  EXPECT_EQ(find(*adapter, "lora_unet_input_blocks_1_1_proj_in"), nullptr);
  EXPECT_EQ(find(*adapter, "lora_unet_down_blocks_0_attentions_0_proj_in"), nullptr);
  int twice = 0;
  for (const auto& skipped : adapter->skipped())
    twice += skipped.reason.find("addressed twice") != std::string::npos;
  EXPECT_EQ(twice, 2);
}

TEST(AdapterMatch, LoraOfAnotherFamilyIsRefusedWithOneSentence) {
  const TinyModel model;
  for (const auto& [width, family] :
       std::map<std::int64_t, std::string>{{768, "SD 1.x"}, {1024, "SD 2.x"}, {2048, "SDXL"}}) {
    // Self-attention fits, but what sees the text does not: applying half of it would be silent nonsense.
    tensor::StateDict state = testing::random_lora(model, RandomKind::kLora, 5);
    for (auto& [key, tensor] : state)
      if (key.find("attn2_to_k.lora_down") != key.npos || key.find("attn2_to_v.lora_down") != key.npos)
        tensor = at::zeros({3, width});
    const std::string error = error_of(write_and_open("foreign", state), model);
    EXPECT_THAT(error, AllOf(HasSubstr(family), HasSubstr(fmt::format("cross-attention width is {}", width)),
                             HasSubstr("cross-attention width 64"), HasSubstr("choose")));
  }
}

TEST(AdapterMatch, ARefusalNamesTheCheckpointsThatFit) {
  const TinyModel model;
  tensor::StateDict state = testing::random_lora(model, RandomKind::kLora, 5);
  for (auto& [key, tensor] : state)
    if (key.find("attn2_to_k.lora_down") != key.npos || key.find("attn2_to_v.lora_down") != key.npos)
      tensor = at::zeros({3, 2048});
  const auto refusal = [&](const formats::LoraFile& file, std::vector<std::string> names) {
    try {
      Adapter::match(file, testing::parts_of(model.unet, model.text_encoder),
                     [&](const formats::LoraFile&) { return names; });
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto foreign = write_and_open("foreign", state);
  EXPECT_THAT(refusal(foreign, {"sdxl", "pony"}),
              AllOf(HasSubstr("made for SDXL"), HasSubstr("; these of your checkpoints fit: sdxl, pony.")));
  EXPECT_THAT(refusal(foreign, {}), HasSubstr("; none of your checkpoints fits: choose a LoRA"));
  const auto nothing =
      write_and_open("nothing", {{"lora_unet_mid_block_attentions_7_proj_in.diff", at::zeros({4, 4})}});
  EXPECT_THAT(refusal(nothing, {"sdxl"}),
              AllOf(HasSubstr("no such layer"), HasSubstr("; these of your checkpoints fit: sdxl.")));
}

TEST(AdapterMatch, LoraThatFitsNothingIsAnError) {
  const TinyModel model;
  EXPECT_THAT(error_of(write_and_open("nothing",
                                      {{"lora_unet_mid_block_attentions_7_proj_in.diff", at::zeros({4, 4})}}),
                       model),
              AllOf(HasSubstr("no module of the LoRA fits"),
                    HasSubstr("lora_unet_mid_block_attentions_7_proj_in"), HasSubstr("no such layer")));
}

// In the words that the lists have for it.
TEST(AdapterMatch, FileOfWhichNothingCanBeUsedIsRefusedForThatReason) {
  const TinyModel model;
  const auto file = write_and_open("half", {{"lora_unet_conv_in.lora_down.weight", at::zeros({2, 4, 3, 3})}});
  EXPECT_NE(formats::unusable_reason(file), "");
  EXPECT_THAT(error_of(file, model), HasSubstr(formats::unusable_reason(file)));
}

TEST(AdapterMatch, DiffusersAndPeftNamesReachTheSameLayers) {
  const TinyModel model;
  const at::Tensor down = at::rand({3, 32}), up = at::rand({32, 3});
  const std::string path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
  for (const std::string& prefix :
       {"unet." + path + ".lora_A.weight|unet." + path + ".lora_B.weight",
        "base_model.model." + path + ".lora_A.weight|base_model.model." + path + ".lora_B.weight",
        "unet." + path + ".lora.down.weight|unet." + path + ".lora.up.weight"}) {
    const auto bar = prefix.find('|');
    const auto adapter =
        Adapter::match(write_and_open("names", {{prefix.substr(0, bar), down}, {prefix.substr(bar + 1), up}}),
                       testing::parts_of(model.unet, model.text_encoder));
    ASSERT_EQ(adapter->targets().size(), 1u) << prefix;
    EXPECT_EQ(adapter->targets()[0].path, "input_blocks.1.1.transformer_blocks.0.attn1.to_q");
    EXPECT_TRUE(at::allclose(adapter->targets()[0].formula.weight({}, {}), at::matmul(up, down)));
  }
}

}  // namespace
}  // namespace lowrank::adapter
