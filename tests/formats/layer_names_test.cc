#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/crafted_models.h"
#include "formats/lora/lora_file.h"
#include "formats/lora/naming_table.h"

namespace lowrank::formats {
namespace {

// The layer a LoRA path reaches in the tiny SD 1.x model, whose blocks are those of the full one; "" when
// none.
std::string layer(const std::string& module) {
  static const Checkpoint checkpoint = open_checkpoint(tiny_model());
  static const auto unet = layer_names(Component::kUnet, layers_of(checkpoint[Component::kUnet]));
  static const auto text =
      layer_names(Component::kTextEncoder, layers_of(checkpoint[Component::kTextEncoder]));
  const auto name = name_of_module(module);
  if (!name || name->component == Component::kTextEncoder2) return "";
  const auto& names = name->component == Component::kUnet ? unet : text;
  const auto place = names.find(name->flat);
  return place == names.end() ? "" : place->second;
}

TEST(LayerNames, SpecificationsTable) {
  EXPECT_EQ(layer("lora_unet_down_blocks_1_attentions_1_transformer_blocks_0_attn2_to_k"),
            "input_blocks.5.1.transformer_blocks.0.attn2.to_k");
  EXPECT_EQ(layer("lora_unet_down_blocks_2_downsamplers_0_conv"), "input_blocks.9.0.op");
  EXPECT_EQ(layer("lora_unet_down_blocks_3_resnets_1_conv_shortcut"), "");
  EXPECT_EQ(layer("lora_unet_mid_block_resnets_1_time_emb_proj"), "middle_block.2.emb_layers.1");
  EXPECT_EQ(layer("lora_unet_up_blocks_0_upsamplers_0_conv"), "output_blocks.2.1.conv");
  EXPECT_EQ(layer("lora_unet_up_blocks_3_resnets_2_conv1"), "output_blocks.11.0.in_layers.2");
}

TEST(LayerNames, ProcessorNamesReachTheirLayer) {
  const auto split =
      split_key("unet.up_blocks.1.attentions.2.transformer_blocks.0.attn1.processor.to_out_lora.down.weight");
  ASSERT_TRUE(split);
  EXPECT_EQ(split->part, "lora_down.weight");
  EXPECT_EQ(layer(split->module), "output_blocks.5.1.transformer_blocks.0.attn1.to_out.0");
}

TEST(LayerNames, SdxlPathOfTheTable) {
  const std::string path = "output_blocks.0.1.transformer_blocks.9.ff.net.0.proj";
  const auto names = layer_names(Component::kUnet, {path});
  EXPECT_EQ(names.at("output_blocks_0_1_transformer_blocks_9_ff_net_0_proj"), path);
}

TEST(LayerNames, EveryWritersNameReachesTheSameLayer) {
  const std::string unet = "input_blocks.1.1.transformer_blocks.0.attn1.to_q";
  for (const char* module :
       {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q",
        "oft_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q",
        "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        // OneTrainer's OMI form, sd-mecha, wrappers of PyTorch
        "unet.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        "lycoris_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q",
        "lycoris_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "module.lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "module.unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "lycoris_model_diffusion_model_input_blocks_1_1_transformer_blocks_0_attn1_to_q",
        "unet.base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "unet._orig_mod.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "lora_unet__orig_mod_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "base_model.model.module.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"})
    EXPECT_EQ(layer(module), unet) << module;
  const std::string text = "encoder.layers.2.self_attn.q_proj";
  for (const char* module :
       {"lora_te_text_model_encoder_layers_2_self_attn_q_proj",
        "lora_te1_text_model_encoder_layers_2_self_attn_q_proj",
        "text_encoder.text_model.encoder.layers.2.self_attn.q_proj",
        "text_encoder.text_model.encoder.layers.2.self_attn.to_q",
        "base_model.model.text_model.encoder.layers.2.self_attn.q_proj",
        "lycoris_text_model_encoder_layers_2_self_attn_q_proj",
        // transformers 5: CLIPTextModel without `text_model.`
        "text_encoder.encoder.layers.2.self_attn.q_proj",
        "base_model.model.encoder.layers.2.self_attn.q_proj", "lora_te_encoder_layers_2_self_attn_q_proj",
        "lora_te1_encoder_layers_2_self_attn_q_proj", "lycoris_encoder_layers_2_self_attn_q_proj",
        "clip_l.text_model.encoder.layers.2.self_attn.q_proj", "clip_l.encoder.layers.2.self_attn.q_proj",
        "lycoris_te_text_model_encoder_layers_2_self_attn_q_proj",
        "lycoris_te_encoder_layers_2_self_attn_q_proj",
        "text_encoders.clip_l.transformer.text_model.encoder.layers.2.self_attn.q_proj",
        "module.base_model.model.text_model.encoder.layers.2.self_attn.q_proj"})
    EXPECT_EQ(layer(module), text) << module;
  EXPECT_EQ(layer("lycoris_final_layer_norm"), "final_layer_norm");
  EXPECT_EQ(layer("lycoris_embeddings_token_embedding"), "embeddings.token_embedding");
  EXPECT_EQ(layer("base_model.model.final_layer_norm"), "final_layer_norm");
  EXPECT_EQ(layer("text_encoder.text_model.encoder.layers.2.self_attn.to_out_lora"),
            "encoder.layers.2.self_attn.out_proj");
  EXPECT_EQ(layer("lora_te_text_model_final_layer_norm"), "final_layer_norm");
  EXPECT_EQ(layer("lora_te_text_model_embeddings_token_embedding"), "embeddings.token_embedding");
  EXPECT_EQ(layer("lora_unet_conv_in"), "input_blocks.0.0");
  EXPECT_EQ(layer("lora_unet_time_embedding_linear_2"), "time_embed.2");
  EXPECT_EQ(layer("conv_out"), "out.2");
}

TEST(LayerNames, EveryLayerHasItsNamesAndNoTwoShareOne) {
  const Checkpoint checkpoint = open_checkpoint(tiny_model());
  for (const auto& [component, views] :
       {std::pair(Component::kUnet, &checkpoint[Component::kUnet]),
        std::pair(Component::kTextEncoder, &checkpoint[Component::kTextEncoder]),
        std::pair(Component::kVae, &checkpoint[Component::kVae])}) {
    const auto layers = layers_of(*views);
    const auto names = layer_names(component, layers);
    std::map<std::string, int> count;
    for (const auto& [name, path] : names) ++count[path];
    for (const auto& path : layers) {
      // Some names are the same in both: quant_conv, encoder.conv_in …; text encoders' are brought to one by the reader.
      const int expected =
          component == Component::kTextEncoder ||
                  (component == Component::kVae &&
                   (path.ends_with("conv_in") || path.ends_with("conv_out") || path.ends_with("quant_conv")))
              ? 1
              : 2;
      EXPECT_EQ(count[path], expected) << path;
    }
  }
}

TEST(LayerNames, NamesThatFlattenAlikeAreRefused) {
  EXPECT_THAT(error_of([] {
                layer_names(Component::kUnet, {"a.b_c", "a_b.c"});
              }),
              ::testing::HasSubstr("share the name"));
}

}  // namespace
}  // namespace lowrank::formats
