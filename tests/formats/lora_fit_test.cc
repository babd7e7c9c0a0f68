// Which LoRAs fit which checkpoints, on the reference files of SDXL and SD 2.x. Their adapters were written by kohya's,
// diffusers', PEFT's and LyCORIS' names for the checkpoint beside them, so that all their keys must find a layer.
#include "formats/lora/lora_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/checkpoint/open_clip_names.h"
#include "formats/checkpoint/single_file.h"
#include "formats/crafted_models.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_summary.h"

namespace lowrank::formats {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The layers of a reference checkpoint, by the roots of Stability AI's files.
ModelLayers layers_in(const std::string& name, BaseModel model) {
  struct Root {
    std::string_view prefix;
    Component component;
    bool is_open_clip;
  };
  constexpr Root kRoots[] = {
      {"model.diffusion_model.", Component::kUnet, false},
      {"conditioner.embedders.0.transformer.text_model.", Component::kTextEncoder, false},
      {"conditioner.embedders.1.model.", Component::kTextEncoder2, true},
      {"cond_stage_model.model.", Component::kTextEncoder, true}};
  const auto file = weights::TensorFile::open(fixture(name + "/" + name + ".safetensors"));
  std::map<Component, LayerTable> tables;
  for (const auto& view : file->tensors())
    for (const Root& root : kRoots) {
      if (!view.name.starts_with(root.prefix)) continue;
      const std::string rest = view.name.substr(root.prefix.size());
      for (const auto& [parameter, part] :
           root.is_open_clip ? open_clip_parameters(rest, view) : NamedViews{{rest, view}}) {
        if (!parameter.ends_with(".weight")) continue;
        const std::string path = parameter.substr(0, parameter.size() - 7);
        const LayerForm form = path.ends_with("_embedding") ? LayerForm::kEmbedding
                               : part.shape.size() == 4     ? LayerForm::kConvolution
                               : part.shape.size() == 1     ? LayerForm::kNorm
                                                            : LayerForm::kLinear;
        tables[root.component].emplace(path, LayerSizes{form, part.shape});
      }
    }
  return layers_of(std::move(tables), model);
}

const ModelLayers& sdxl() {
  static const ModelLayers layers = layers_in("sdxl-tiny", BaseModel::kSdxl);
  return layers;
}

const ModelLayers& sd2() {
  static const ModelLayers layers = layers_in("sd2-tiny", BaseModel::kSd2);
  return layers;
}

const ModelLayers& sd1() {
  static const ModelLayers layers = layers_of(open_checkpoint(tiny_model()));
  return layers;
}

std::string problems_of(const LoraFit& fit) {
  std::string all;
  for (const auto& unmet : fit.unmet) all += unmet.module + ": " + unmet.reason + "\n";
  return all;
}

TEST(LoraFit, EveryKeyOfEveryReferenceAdapterFindsItsLayer) {
  int files = 0;
  for (const auto& [set, model] : {std::pair("sdxl-tiny", &sdxl()), std::pair("sd2-tiny", &sd2())})
    for (const auto& entry : std::filesystem::directory_iterator(fixture(set))) {
      const std::string stem = entry.path().stem().string();
      if (stem == set || stem.ends_with("-goldens") || stem.ends_with("-keys")) continue;
      SCOPED_TRACE(stem);
      const LoraFile lora = open_lora(entry.path());
      const LoraFit fit = fit_lora(lora, *model);
      EXPECT_EQ(problems_of(fit), "");
      EXPECT_THAT(lora.unknown, IsEmpty());
      EXPECT_EQ(fit.keys_applied, static_cast<std::int64_t>(lora.file->tensors().size()));
      ++files;
    }
  EXPECT_EQ(files, 13);
}

// Names of the two encoders exchanged: the shapes tell, and one sentence says what to do.
TEST(LoraFit, ModulesUnderTheOtherEncodersNameAreToldWithTheRemedy) {
  const auto file = weights::TensorFile::open(fixture("sdxl-tiny/sdxl-tiny-lora_kohya.safetensors"));
  std::vector<weights::TensorView> views(file->tensors().begin(), file->tensors().end());
  std::size_t renamed = 0;
  for (auto& view : views) {
    if (!view.name.starts_with("lora_te1_") && !view.name.starts_with("lora_te2_")) continue;
    view.name[7] = view.name[7] == '1' ? '2' : '1';
    ++renamed;
  }
  ASSERT_GT(renamed, 10u);
  const TemporaryFolder folder;
  weights::write_safetensors(folder.path() / "a.safetensors", views, file->metadata());
  const LoraFit fit = fit_lora(open_lora(folder.path() / "a.safetensors"), sdxl());
  int first = 0, second = 0;
  for (const auto& unmet : fit.unmet) {
    EXPECT_THAT(unmet.reason, HasSubstr("rename its keys")) << unmet.module;
    first +=
        unmet.module.starts_with("lora_te1_") &&
        unmet.reason.find("shapes of the second text encoder, although its name says the text encoder") !=
            std::string::npos;
    second += unmet.module.starts_with("lora_te2_") &&
              unmet.reason.find("shapes of the text encoder, although its name says the second") !=
                  std::string::npos;
  }
  EXPECT_GT(first, 0);
  EXPECT_GT(second, 0);
  EXPECT_GT(fit.applied_unet, 0);
  EXPECT_EQ(fit.applied_text, 0);
}

TEST(LoraFit, TheSecondEncodersModulesAreItsOwn) {
  const LoraFile lora = open_lora(fixture("sdxl-tiny/sdxl-tiny-lora_kohya.safetensors"));
  const LoraMatch match = match_lora(lora, sdxl());
  std::map<Component, int> places;
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const auto& entry = lora.entries[i];
    EXPECT_EQ(match.places[i].component, entry.module.starts_with("lora_te1_")   ? Component::kTextEncoder
                                         : entry.module.starts_with("lora_te2_") ? Component::kTextEncoder2
                                                                                 : Component::kUnet)
        << entry.module;
    ++places[match.places[i].component];
  }
  EXPECT_EQ(places.size(), 3u);
}

LoraFile crafted(const std::vector<Named>& tensors) {
  const TemporaryFolder folder;
  write_named(folder.path() / "x.safetensors", tensors);
  return open_lora(folder.path() / "x.safetensors");
}

std::vector<Named> pair_at(const std::string& module, std::int64_t out, std::int64_t in) {
  return {{module + ".lora_down.weight", {2, in}}, {module + ".lora_up.weight", {out, 2}}};
}

// The reference encoders are 16 and 24 wide.
TEST(LoraFit, NamesWithoutANumberMeanTheEncoderThatTheyFit) {
  const auto component = [](const std::string& module, std::int64_t width) {
    const LoraMatch match = match_lora(crafted(pair_at(module, width, width)), sdxl());
    EXPECT_TRUE(match.places.at(0).acts()) << module << ": " << match.places.at(0).reason;
    return match.places.at(0).component;
  };
  for (const std::string module :
       {"lora_te_text_model_encoder_layers_0_self_attn_q_proj", "lora_te_encoder_layers_0_self_attn_q_proj",
        "lycoris_te_text_model_encoder_layers_0_self_attn_q_proj",
        "lycoris_encoder_layers_0_self_attn_q_proj",
        "base_model.model.text_model.encoder.layers.0.self_attn.q_proj",
        "base_model.model.encoder.layers.0.self_attn.q_proj"}) {
    EXPECT_EQ(component(module, 16), Component::kTextEncoder) << module;
    EXPECT_EQ(component(module, 24), Component::kTextEncoder2) << module;
  }
}

TEST(LoraFit, EveryWritersNameOfTheSecondEncoderReachesTheSameLayer) {
  const auto path = [](const std::string& module, std::int64_t out, std::int64_t in) {
    const LoraMatch match = match_lora(crafted(pair_at(module, out, in)), sdxl());
    const auto& place = match.places.at(0);
    EXPECT_EQ(place.reason, "") << module;
    EXPECT_EQ(place.component, Component::kTextEncoder2) << module;
    return place.path;
  };
  for (const std::string root :
       {"lora_te2_text_model_", "lora_te2_", "lycoris_te2_text_model_", "lycoris_te2_",
        "text_encoder_2.text_model.", "text_encoder_2.", "clip_g.text_model.",
        "text_encoders.clip_g.transformer.text_model.", "clip_g.transformer.text_model."}) {
    const bool is_flat = root.ends_with("_");
    EXPECT_EQ(path(root + (is_flat ? "encoder_layers_2_mlp_fc1" : "encoder.layers.2.mlp.fc1"), 96, 24),
              "encoder.layers.2.mlp.fc1");
  }
  for (const std::string module :
       {"lora_te2_transformer_resblocks_2_mlp_c_fc",
        "conditioner.embedders.1.model.transformer.resblocks.2.mlp.c_fc",
        "lycoris_conditioner_embedders_1_model_transformer_resblocks_2_mlp_c_fc",
        "base_model.model.transformer.resblocks.2.mlp.c_fc", "lycoris_transformer_resblocks_2_mlp_c_fc"})
    EXPECT_EQ(path(module, 96, 24), "encoder.layers.2.mlp.fc1");
  for (const std::string module : {"lora_te2_transformer_resblocks_2_attn_out_proj",
                                   "base_model.model.transformer.resblocks.2.attn.base_layer.out_proj"})
    EXPECT_EQ(path(module, 24, 24), "encoder.layers.2.self_attn.out_proj");
  for (const std::string module :
       {"lora_te2_transformer_resblocks_2_attn_in_proj", "base_model.model.transformer.resblocks.2.attn"}) {
    const LoraMatch match = match_lora(crafted(pair_at(module, 72, 24)), sdxl());
    ASSERT_EQ(match.places.size(), 3u);
    EXPECT_EQ(match.places[1].path, "encoder.layers.2.self_attn.k_proj");
    EXPECT_EQ(match.places[2].path, "encoder.layers.2.self_attn.v_proj");
    for (const auto& place : match.places) EXPECT_EQ(place.reason, "");
  }
  for (const std::string module :
       {"lora_te2_text_projection", "text_encoder_2.text_projection", "clip_g.text_projection",
        "lycoris_text_projection", "base_model.model.text_projection"})
    EXPECT_EQ(path(module, 24, 24), "text_projection");
}

TEST(LoraFit, BothNamingsOfSdxlsUnetReachTheSameLayer) {
  const auto path = [](const std::string& module) {
    const LoraMatch match = match_lora(crafted(pair_at(module, 1, 1)), sdxl());
    return match.places.at(0).path;
  };
  const std::pair<const char*, const char*> kNames[] = {
      {"input_blocks_4_1_transformer_blocks_1_attn1_to_q",
       "down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_q"},
      {"input_blocks_8_1_proj_in", "down_blocks_2_attentions_1_proj_in"},
      {"input_blocks_6_0_op", "down_blocks_1_downsamplers_0_conv"},
      {"middle_block_1_transformer_blocks_0_ff_net_0_proj",
       "mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj"},
      {"output_blocks_2_2_conv", "up_blocks_0_upsamplers_0_conv"},
      {"output_blocks_5_1_proj_out", "up_blocks_1_attentions_2_proj_out"},
      {"output_blocks_8_0_skip_connection", "up_blocks_2_resnets_2_conv_shortcut"},
      {"label_emb_0_0", "add_embedding_linear_1"},
      {"label_emb_0_2", "add_embedding_linear_2"},
      {"time_embed_0", "time_embedding_linear_1"},
      {"input_blocks_0_0", "conv_in"},
      {"out_2", "conv_out"},
  };
  for (const auto& [checkpoint, diffusers] : kNames) {
    const auto expected = path(std::string("lora_unet_") + checkpoint);
    EXPECT_NE(expected, "") << checkpoint;
    for (const std::string prefix : {"lora_unet_", "lycoris_", "lycoris_unet_"})
      EXPECT_EQ(path(prefix + diffusers), expected) << diffusers;
  }
}

TEST(LoraFit, OtherFamiliesAreNamedInTheUsersWords) {
  ModelLayers sd1 = sd2();
  sd1.base_model = BaseModel::kSd1;
  const LoraFit fit =
      fit_lora(crafted(pair_at("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 64, 2048)), sd1);
  EXPECT_FALSE(fit.applies());
  EXPECT_EQ(fit.family, "made for SDXL (cross-attention width is 2048); this is an SD 1.x checkpoint");
  const LoraFit reverse = fit_lora(
      crafted(pair_at("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 64, 768)),
      sdxl());
  EXPECT_FALSE(reverse.applies());
  EXPECT_EQ(reverse.family, "made for SD 1.x (cross-attention width is 768); this is an SDXL checkpoint");
}

// SD 1.x and SDXL share names and sizes of some self-attention: a part of the file would act there, as noise.
TEST(LoraFit, LayersThatFitByChanceDoNotActWhereTheFamilyIsAnother) {
  auto tensors = pair_at("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q", 64, 64);
  const LoraFit alone = fit_lora(crafted(tensors), sdxl());
  EXPECT_EQ(alone.applied_unet, 1);
  for (const Named& tensor :
       pair_at("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 32, 768))
    tensors.push_back(tensor);
  const LoraFit both = fit_lora(crafted(tensors), sdxl());
  EXPECT_EQ(both.applied_unet, 0);
  EXPECT_THAT(fit_verdict(both), HasSubstr("made for SD 1.x"));
}

TEST(LoraFit, AListOfCheckpointsStaysASentence) {
  EXPECT_EQ(fitting_text({}), "none of your checkpoints fits");
  EXPECT_EQ(fitting_text(std::vector<std::string>{"a"}), "these of your checkpoints fit: a");
  EXPECT_EQ(fitting_text(std::vector<std::string>{"a", "b", "c"}), "these of your checkpoints fit: a, b, c");
  EXPECT_EQ(fitting_text(std::vector<std::string>{"a", "b", "c", "d", "e"}),
            "these of your checkpoints fit: a, b, c and 2 more");
}

TEST(LoraFit, EmbeddingsInTheFileNeedBothEncoders) {
  const auto bundle = [](std::int64_t l, std::int64_t g) {
    return std::vector<Named>{{"bundle_emb.fox.clip_l", {2, l}}, {"bundle_emb.fox.clip_g", {2, g}}};
  };
  EXPECT_EQ(fit_lora(crafted(bundle(16, 24)), sdxl()).embeddings, 1);
  EXPECT_EQ(fit_lora(crafted(bundle(16, 24)), sdxl()).keys_applied, 2);
  EXPECT_EQ(fit_lora(crafted(bundle(16, 32)), sdxl()).embeddings, 0);
  EXPECT_EQ(fit_lora(crafted(bundle(24, 24)), sd2()).embeddings, 0);
  EXPECT_EQ(fit_lora(crafted({{"bundle_emb.fox.string_to_param.*", {2, 24}}}), sd2()).embeddings, 1);
}

// tools/fixtures/make_family_loras.py and make_trainer_loras.py: written by diffusers, PEFT, LyCORIS, kohya's sd-scripts and
// OneTrainer, with what each was made for.
TEST(LoraFamilies, FilesOfPublicLibrariesAreJudgedRight) {
  const std::filesystem::path folder = fixture("family-loras");
  std::ifstream text(folder / "families.json");
  const auto made_for = nlohmann::json::parse(text);
  ASSERT_GE(made_for.size(), 30u);
  LoraSummariser summariser;
  for (const auto& [name, family] : made_for.items()) {
    SCOPED_TRACE(name);
    const std::string expected = family.get<std::string>();
    const LoraSummary summary = summariser.read(folder / name);
    if (expected.starts_with("refused")) {
      const std::string what = expected.substr(std::min(expected.size(), std::string("refused: ").size()));
      EXPECT_THAT(error_of([&] { open_lora(folder / name); }), HasSubstr("is a LoRA for " + what));
      if (!what.empty()) {
        EXPECT_EQ(summary.architecture, what);
      }
      EXPECT_EQ(family_labelled(summary.architecture), nullptr) << summary.architecture;
      EXPECT_NE(summary.architecture, "");
      continue;
    }
    EXPECT_EQ(summary.problem, "");
    EXPECT_EQ(summary.architecture, expected) << summary.base_reason;
    const LoraFile lora = open_lora(folder / name);
    EXPECT_EQ(architecture_name(lora.base_model), expected);
    EXPECT_THAT(lora.unknown, IsEmpty());
    EXPECT_THAT(lora.skipped, IsEmpty());
    // The reference checkpoints have the same blocks, so that every name is known there, whatever the sizes.
    if (expected == "SD2") continue;  // its reference has fewer layers
    const ModelLayers& model = expected == "SDXL" ? sdxl() : sd1();
    const LoraMatch match = match_lora(lora, model);
    for (std::size_t i = 0; i < lora.entries.size(); ++i)
      EXPECT_NE(match.places[i].path, "") << lora.entries[i].module << ": " << match.places[i].reason;
    // And of the other families nothing acts.
    for (const ModelLayers* other : {&sd1(), &sd2(), &sdxl()})
      EXPECT_TRUE(other == &model || !fit_lora(lora, *other).applies());
  }
}

}  // namespace
}  // namespace lowrank::formats
