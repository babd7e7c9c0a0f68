#include "formats/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/checkpoint/single_file.h"
#include "formats/checkpoint/stated_prediction.h"
#include "formats/crafted_models.h"
#include "formats/natural_order.h"
#include "weights/pickle_builder.h"

namespace lowrank::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The least that is a checkpoint: one landmark per component.
std::vector<Named> least() {
  return {{"model.diffusion_model.input_blocks.0.0.weight", {4, 4, 3, 3}},
          {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", {8, 4}},
          {"first_stage_model.decoder.conv_in.weight", {4, 4, 3, 3}},
          {"model.diffusion_model.input_blocks.0.0.bias", {4}},
          {"first_stage_model.decoder.conv_in.bias", {4}}};
}

Checkpoint open_crafted(const std::vector<Named>& tensors,
                        const std::map<std::string, std::string>& metadata = {}) {
  const TemporaryFolder folder;
  write_named(folder.path() / "model.safetensors", tensors, metadata);
  return open_checkpoint(folder.path() / "model.safetensors");
}

TEST(SingleFile, TinyModelIsSplitWithoutRest) {
  const auto checkpoint = open_checkpoint(tiny_model());
  EXPECT_EQ(checkpoint.layout, Layout::kSingleFile);
  EXPECT_EQ(checkpoint.base_model, BaseModel::kSd1);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kEpsilon);
  EXPECT_EQ(checkpoint[Component::kTextEncoder].size() + checkpoint[Component::kUnet].size() +
                checkpoint[Component::kVae].size() + checkpoint.unused.size(),
            checkpoint.files[0]->tensors().size());
  EXPECT_THAT(checkpoint.unused, ::testing::UnorderedElementsAre(
                                     "cond_stage_model.transformer.text_model.embeddings.position_ids",
                                     "alphas_cumprod", "betas"));
  EXPECT_EQ(checkpoint[Component::kUnet].at("input_blocks.0.0.weight").shape, (Shape{32, 4, 3, 3}));
  EXPECT_EQ(checkpoint[Component::kVae].at("decoder.mid.attn_1.q.weight").shape.size(), 4u);
  EXPECT_TRUE(checkpoint[Component::kTextEncoder].contains("encoder.layers.2.mlp.fc1.bias"));
  EXPECT_FALSE(checkpoint.unet_heads);
}

TEST(SingleFile, OldTextEncoderRootIsTheSame) {
  auto tensors = least();
  tensors[1].name = "cond_stage_model.transformer.embeddings.token_embedding.weight";
  tensors.push_back({"cond_stage_model.transformer.encoder.layers.0.mlp.fc1.weight", {4, 4}});
  tensors.push_back({"cond_stage_model.transformer.encoder.layers.0.mlp.fc1.bias", {4}});
  tensors.push_back({"cond_stage_model.transformer.embeddings.position_ids", {1, 77}});
  const auto checkpoint = open_crafted(tensors);
  EXPECT_TRUE(checkpoint[Component::kTextEncoder].contains("embeddings.token_embedding.weight"));
  EXPECT_TRUE(checkpoint[Component::kTextEncoder].contains("encoder.layers.0.mlp.fc1.weight"));
  EXPECT_EQ(checkpoint.unused,
            std::vector<std::string>{"cond_stage_model.transformer.embeddings.position_ids"});
}

TEST(SingleFile, BothTextEncoderRootsInOneFileAreRefused) {
  auto tensors = least();
  tensors.push_back({"cond_stage_model.transformer.embeddings.token_embedding.weight", {8, 4}});
  EXPECT_THAT(error_of([&] { open_crafted(tensors); }), HasSubstr("are the same parameter"));
}

TEST(SingleFile, AveragesSchedulesAndLossesAreUnused) {
  auto tensors = least();
  for (const char* name :
       {"model_ema.decay", "model_ema.diffusion_modelinput_blocks00weight", "betas", "sqrt_alphas_cumprod",
        "posterior_variance", "first_stage_model.loss.logvar", "first_stage_model.model_ema.decay",
        "model.diffusion_model.unknown.weight", "global_step"})
    tensors.push_back({name, {1}});
  EXPECT_EQ(open_crafted(tensors).unused.size(), 9u);
}

TEST(SingleFile, FactsComeFromMetadata) {
  const auto checkpoint = open_crafted(
      least(), {{"lowrank.unet_heads", "4"}, {"lowrank.text_heads", "2"}, {"lowrank.prediction_type", "v"}});
  ASSERT_TRUE(checkpoint.unet_heads);
  EXPECT_EQ(checkpoint.unet_heads->count, 4);
  EXPECT_EQ(checkpoint.text_heads.at(Component::kTextEncoder), 2);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kV);
  EXPECT_EQ(open_crafted(least(), {{"modelspec.prediction_type", "epsilon"}}).prediction,
            PredictionType::kEpsilon);
  EXPECT_THAT(error_of([&] {
                open_crafted(least(), {{"lowrank.unet_heads", "0"}});
              }),
              HasSubstr("lowrank.unet_heads"));
  EXPECT_THAT(error_of([&] { open_crafted(least(), {{"lowrank.unet_heads", "8x"}}); }), HasSubstr("'8x'"));
  EXPECT_THAT(error_of([&] {
                open_crafted(least(), {{"lowrank.prediction_type", "sample"}});
              }),
              HasSubstr("'sample'"));
}

TEST(SingleFile, VPredMarkIsSeen) {
  auto tensors = least();
  tensors.push_back({"v_pred", {1}});
  EXPECT_EQ(open_crafted(tensors).prediction, PredictionType::kV);
}

// As NoobAI's files hold them: no numbers at all.
TEST(SingleFile, EmptyTensorsStateVPredictionAndZeroTerminalSnr) {
  auto tensors = least();
  tensors.push_back({"v_pred", {0}});
  EXPECT_FALSE(open_crafted(tensors).prediction_details.zero_terminal_snr);
  tensors.push_back({"ztsnr", {0}});
  const auto checkpoint = open_crafted(tensors);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kV);
  EXPECT_TRUE(checkpoint.prediction_details.zero_terminal_snr);
  EXPECT_EQ(checkpoint.prediction_details.rule, "the key v_pred");
}

// sd2-tiny is a v model that says nothing; its config.v_prediction stands in the goldens (tests/fixtures/README.md).
TEST(SingleFile, AnSd2FileThatSaysNothingIsJudgedByItsNorm) {
  auto checkpoint = open_checkpoint(fixture("sd2-tiny/sd2-tiny.safetensors"));
  EXPECT_EQ(checkpoint.base_model, BaseModel::kSd2);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kV);
  EXPECT_THAT(checkpoint.prediction_details.rule, HasSubstr("ComfyUI"));

  checkpoint.metadata["lowrank.prediction_type"] = "epsilon";
  apply_stated_prediction(checkpoint);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kEpsilon);
  EXPECT_THAT(checkpoint.prediction_details.rule, HasSubstr("says v"));

  // A bias without any spread, as of a model of the other type.
  checkpoint.metadata.clear();
  const std::vector<float> flat(32, 0.5F);
  auto& bias = checkpoint[Component::kUnet].at("output_blocks.11.1.transformer_blocks.0.norm1.bias");
  bias.dtype = DType::kF32;
  bias.bytes = std::as_bytes(std::span(flat));
  apply_stated_prediction(checkpoint);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kEpsilon);
}

TEST(SingleFile, TheMoreTrustedStatementDecidesAndTheOtherIsTold) {
  auto tensors = least();
  tensors.push_back({"v_pred", {0}});
  const auto keyed = open_crafted(tensors, {{"modelspec.prediction_type", "epsilon"}});
  EXPECT_EQ(keyed.prediction, PredictionType::kV);
  EXPECT_EQ(keyed.prediction_details.rule, "the key v_pred, though modelspec.prediction_type says epsilon");
  const auto own = open_crafted(tensors, {{"lowrank.prediction_type", "epsilon"}});
  EXPECT_EQ(own.prediction, PredictionType::kEpsilon);
  EXPECT_EQ(own.prediction_details.rule, "lowrank.prediction_type, though the key v_pred says v");
  EXPECT_EQ(open_crafted(least()).prediction_details.rule, "");
}

TEST(SingleFile, RectifiedFlowIsStatedByMetadata) {
  for (const char* word : {"flow", "rectified_flow", "Flow_Matching"})
    EXPECT_EQ(open_crafted(least(), {{"modelspec.prediction_type", word}}).prediction, PredictionType::kFlow);
}

TEST(SingleFile, EdmModelsAreRefused) {
  for (const char* key : {"edm_mean", "edm_vpred.sigma_max"}) {
    auto tensors = least();
    tensors.push_back({key, {1}});
    EXPECT_THAT(error_of([&] { open_crafted(tensors); }), HasSubstr(key));
  }
}

TEST(SingleFile, MissingComponentsAreNamed) {
  const char* kNames[] = {"U-Net", "text encoder", "VAE"};
  for (std::size_t i = 0; i < 3; ++i) {
    auto tensors = least();
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
    tensors.push_back({"model.diffusion_model.input_blocks.1.0.in_layers.0.weight", {4}});
    tensors.push_back({"cond_stage_model.transformer.text_model.final_layer_norm.weight", {4}});
    EXPECT_THAT(error_of([&] { open_crafted(tensors); }), HasSubstr(kNames[i])) << i;
  }
}

TEST(SingleFile, OtherFilesAreCalledByName) {
  const auto refusal = [](const std::vector<Named>& tensors) {
    return error_of([&] { open_crafted(tensors); });
  };
  EXPECT_THAT(error_of([] { open_checkpoint(fixture("sd15-tiny/sd15-tiny-lora_attn.safetensors")); }),
              HasSubstr("a LoRA"));
  EXPECT_THAT(refusal({{"decoder.conv_in.weight", {1}}}), HasSubstr("a VAE"));
  EXPECT_THAT(refusal({{"conditioner.embedders.0.transformer.text_model.x", {1}}}),
              HasSubstr("the text encoder of an SDXL checkpoint"));
  EXPECT_THAT(refusal({{"cond_stage_model.model.ln_final.weight", {1}}}),
              HasSubstr("the text encoder of an SD 2.x checkpoint"));
  EXPECT_THAT(refusal({{"double_blocks.0.img_attn.qkv.weight", {1}}}), HasSubstr("a FLUX model"));
  EXPECT_THAT(refusal({{"emb_params", {1, 768}}}), HasSubstr("textual inversion"));
  EXPECT_THAT(refusal({{"down_blocks.0.resnets.0.conv1.weight", {1}}}), HasSubstr("diffusers"));
  EXPECT_THAT(refusal({}), HasSubstr("without named tensors"));
  EXPECT_THAT(refusal({{"anything", {1}}}), HasSubstr("something else"));
}

TEST(SingleFile, FamilyIsRecognisedByWidthWithoutTextEncoder) {
  const TemporaryFolder folder;
  const auto family = [&](std::int64_t width) {
    write_named(
        folder.path() / "m.safetensors",
        {{"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", {1, width}}});
    return recognise_checkpoint(*weights::TensorFile::open(folder.path() / "m.safetensors"));
  };
  EXPECT_EQ(family(768), BaseModel::kSd1);
  EXPECT_EQ(family(1024), BaseModel::kSd2);
  EXPECT_EQ(family(2048), BaseModel::kSdxl);
  EXPECT_EQ(family(99), BaseModel::kOther);
}

// ── diffusers folders, made from the tiny model with diffusers' own names ──

class DiffusersFolder : public ::testing::Test {
 protected:
  DiffusersFolder() : single_(open_checkpoint(tiny_model())) {
    const auto names = nlohmann::json::parse(weights::contents_of(fixture("names/diffusers.json")));
    collect(unet_, single_[Component::kUnet], names["unet"]);
    collect(vae_, single_[Component::kVae], names["vae"]);
    for (const auto& [name, view] : single_[Component::kTextEncoder]) add(text_, "text_model." + name, view);
    for (auto& view : vae_) {  // diffusers keeps the attention's weights as matrices
      if (view.name.find(".attentions.0.") != std::string::npos && view.shape.size() == 4)
        view.shape.resize(2);
    }
  }

  static void add(std::vector<weights::TensorView>& list, std::string name, weights::TensorView view) {
    view.name = std::move(name);
    list.push_back(std::move(view));
  }
  static void collect(std::vector<weights::TensorView>& list, const ParameterViews& views,
                      const nlohmann::json& names) {
    for (const auto& [theirs, ours] : names.get<std::map<std::string, std::string>>()) {
      for (const char* parameter : {".weight", ".bias"}) {
        const auto place = views.find(ours + parameter);
        if (place != views.end()) add(list, theirs + parameter, place->second);
      }
    }
  }
  void write_all() const {
    write_safetensors(folder_.path() / "unet/diffusion_pytorch_model.safetensors", unet_);
    write_safetensors(folder_.path() / "vae/diffusion_pytorch_model.safetensors", vae_);
    write_safetensors(folder_.path() / "text_encoder/model.safetensors", text_);
    folder_.write("model_index.json", "{}");
    folder_.write("unet/config.json", R"({"attention_head_dim": 8, "cross_attention_dim": 64})");
    folder_.write("text_encoder/config.json", R"({"num_attention_heads": 1, "hidden_act": "quick_gelu"})");
    folder_.write("scheduler/scheduler_config.json", R"({"prediction_type": "epsilon"})");
  }
  std::string refusal() const {
    return error_of([&] { open_checkpoint(folder_.path()); });
  }
  static void expect_same(const ParameterViews& ours, const ParameterViews& truth) {
    ASSERT_EQ(ours.size(), truth.size());
    for (const auto& [name, view] : truth) {
      const auto place = ours.find(name);
      ASSERT_NE(place, ours.end()) << name;
      EXPECT_EQ(place->second.shape, view.shape) << name;
      EXPECT_TRUE(std::equal(view.bytes.begin(), view.bytes.end(), place->second.bytes.begin(),
                             place->second.bytes.end()))
          << name;
    }
  }
  void expect_whole() const {
    const auto checkpoint = open_checkpoint(folder_.path());
    EXPECT_EQ(checkpoint.layout, Layout::kDiffusersFolder);
    expect_same(checkpoint[Component::kUnet], single_[Component::kUnet]);
    expect_same(checkpoint[Component::kVae], single_[Component::kVae]);
    expect_same(checkpoint[Component::kTextEncoder], single_[Component::kTextEncoder]);
  }

  Checkpoint single_;
  std::vector<weights::TensorView> unet_, vae_, text_;
  TemporaryFolder folder_;
};

TEST_F(DiffusersFolder, EqualsTheSingleFile) {
  write_all();
  expect_whole();
  const auto checkpoint = open_checkpoint(folder_.path());
  ASSERT_TRUE(checkpoint.unet_heads);
  EXPECT_EQ(checkpoint.unet_heads->count, 8);
  EXPECT_EQ(checkpoint.text_heads.at(Component::kTextEncoder), 1);
  EXPECT_EQ(checkpoint.prediction, PredictionType::kEpsilon);
  EXPECT_TRUE(checkpoint.unused.empty());
  EXPECT_EQ(checkpoint.files.size(), 3u);
}

TEST_F(DiffusersFolder, Fp16VariantIsFound) {
  write_all();
  std::filesystem::rename(folder_.path() / "unet/diffusion_pytorch_model.safetensors",
                          folder_.path() / "unet/diffusion_pytorch_model.fp16.safetensors");
  std::filesystem::rename(folder_.path() / "text_encoder/model.safetensors",
                          folder_.path() / "text_encoder/model.fp16.safetensors");
  expect_whole();
}

TEST_F(DiffusersFolder, ShardsAreJoinedByTheirIndex) {
  write_all();
  const std::size_t half = unet_.size() / 2;
  std::filesystem::remove(folder_.path() / "unet/diffusion_pytorch_model.safetensors");
  nlohmann::json map;
  for (std::size_t i = 0; i < unet_.size(); ++i)
    map[unet_[i].name] = i < half ? "one.safetensors" : "two.safetensors";
  const std::span<const weights::TensorView> all(unet_);
  write_safetensors(folder_.path() / "unet/one.safetensors", all.first(half));
  write_safetensors(folder_.path() / "unet/two.safetensors", all.subspan(half));
  const std::string index = "unet/diffusion_pytorch_model.safetensors.index.json";
  folder_.write(index, nlohmann::json{{"weight_map", map}}.dump());
  expect_whole();
  map["promised"] = "two.safetensors";
  folder_.write(index, nlohmann::json{{"weight_map", map}}.dump());
  EXPECT_THAT(refusal(), HasSubstr("'promised' is missing"));
  map["promised"] = "../two.safetensors";
  folder_.write(index, nlohmann::json{{"weight_map", map}}.dump());
  EXPECT_THAT(refusal(), HasSubstr("not the name of a file in the same folder"));
  folder_.write(index, "{}");
  EXPECT_THAT(refusal(), HasSubstr("no weight_map"));
}

// sdnq keeps float8 with a scale for every row beside it, under config.json's `quantization_config`.
TEST_F(DiffusersFolder, ScaledFloat8IsReadAndOtherFormsAreNamed) {
  std::vector<std::byte> stored(4096, std::byte{0x38});  // 1.0 in float8
  std::vector<float> scales = {0.5f, 0.25f};
  auto& first = *std::ranges::find(unet_, "conv_in.weight", &weights::TensorView::name);
  const auto out = static_cast<std::size_t>(first.shape[0]);
  scales.resize(out, 0.125f);
  first.dtype = DType::kF8E4M3;
  first.bytes = std::span(stored).first(static_cast<std::size_t>(first.elements()));
  add(unet_, "conv_in.scale",
      {.name = {},
       .dtype = DType::kF32,
       .shape = {first.shape[0], 1, 1, 1},
       .bytes = std::as_bytes(std::span(scales))});
  write_all();
  const std::string config = R"({"attention_head_dim": 8, "quantization_config": {"quant_method": "sdnq")";
  folder_.write("unet/config.json", config + "}}");
  const auto checkpoint = open_checkpoint(folder_.path());
  const auto values = weights::to_floats(checkpoint[Component::kUnet].at("input_blocks.0.0.weight"));
  const std::size_t row = values.size() / out;
  EXPECT_EQ(values[0], 0.5f);
  EXPECT_EQ(values[row], 0.25f);
  EXPECT_EQ(values[2 * row], 0.125f);
  EXPECT_TRUE(checkpoint.unused.empty());
  // Turned by a Hadamard matrix the numbers are others, which only the configuration tells.
  folder_.write("unet/config.json", config + R"(, "use_hadamard": true}})");
  EXPECT_THAT(refusal(), HasSubstr("use_hadamard"));
  folder_.write("unet/config.json", config + "}}");
  std::ranges::find(unet_, "conv_in.weight", &weights::TensorView::name)->dtype = DType::kI8;
  write_safetensors(folder_.path() / "unet/diffusion_pytorch_model.safetensors", unet_);
  // int8 is the same product: 0x38 is 56.
  const auto integers = open_checkpoint(folder_.path());
  EXPECT_EQ(weights::to_floats(integers[Component::kUnet].at("input_blocks.0.0.weight"))[row], 56 * 0.25f);
  EXPECT_TRUE(integers.unused.empty());
  folder_.write("unet/config.json", config + R"(, "use_hadamard": true}})");
  EXPECT_THAT(refusal(), HasSubstr("use_hadamard"));
}

TEST_F(DiffusersFolder, AScaleInAnotherShardIsNotLost) {
  std::vector<std::byte> stored(4096, std::byte{0x38});
  const float scale = 0.5f;
  auto& first = *std::ranges::find(unet_, "conv_in.weight", &weights::TensorView::name);
  first.dtype = DType::kF8E4M3;
  first.bytes = std::span(stored).first(static_cast<std::size_t>(first.elements()));
  write_all();
  std::filesystem::remove(folder_.path() / "unet/diffusion_pytorch_model.safetensors");
  const weights::TensorView apart{.name = "conv_in.weight_scale",
                                  .dtype = DType::kF32,
                                  .shape = {},
                                  .bytes = std::as_bytes(std::span(&scale, 1))};
  write_safetensors(folder_.path() / "unet/one.safetensors", unet_);
  write_safetensors(folder_.path() / "unet/two.safetensors", std::span(&apart, 1));
  nlohmann::json map = {{apart.name, "two.safetensors"}};
  for (const auto& view : unet_) map[view.name] = "one.safetensors";
  folder_.write("unet/diffusion_pytorch_model.safetensors.index.json",
                nlohmann::json{{"weight_map", map}}.dump());
  EXPECT_THAT(refusal(), HasSubstr("are in different files"));
}

TEST_F(DiffusersFolder, OldAttentionNamesOfTheVaeAreKnown) {
  const std::pair<const char*, const char*> kOld[] = {
      {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}};
  for (auto& view : vae_) {
    for (const auto& [current, old] : kOld) {
      const std::string part = fmt::format(".attentions.0.{}.", current);
      const auto at = view.name.find(part);
      if (at != std::string::npos)
        view.name =
            view.name.substr(0, at) + ".attentions.0." + old + "." + view.name.substr(at + part.size());
    }
  }
  write_all();
  expect_whole();
}

TEST_F(DiffusersFolder, PredictionTypeIsReadFromTheScheduler) {
  write_all();
  folder_.write("scheduler/scheduler_config.json", R"({"prediction_type": "v_prediction"})");
  EXPECT_EQ(open_checkpoint(folder_.path()).prediction, PredictionType::kV);
  folder_.write("scheduler/scheduler_config.json", R"({"prediction_type": "sample"})");
  EXPECT_THAT(refusal(), HasSubstr("'sample'"));
  folder_.write("scheduler/scheduler_config.json", "[1");
  EXPECT_THAT(refusal(), HasSubstr("scheduler_config.json: is not a JSON object"));
}

TEST_F(DiffusersFolder, TheSchedulerStatesZeroTerminalSnrAndRectifiedFlow) {
  write_all();
  folder_.write("scheduler/scheduler_config.json",
                R"({"prediction_type": "v_prediction", "rescale_betas_zero_snr": true})");
  EXPECT_TRUE(open_checkpoint(folder_.path()).prediction_details.zero_terminal_snr);
  folder_.write("scheduler/scheduler_config.json",
                R"({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 6.0})");
  const auto flow = open_checkpoint(folder_.path());
  EXPECT_EQ(flow.prediction, PredictionType::kFlow);
  EXPECT_EQ(flow.prediction_details.flow_shift, 6);
  EXPECT_EQ(flow.prediction_details.rule, "FlowMatchEulerDiscreteScheduler in scheduler_config.json");
  // diffusers' constructor has 1 where the file has none.
  folder_.write("scheduler/scheduler_config.json", R"({"_class_name": "FlowMatchHeunDiscreteScheduler"})");
  EXPECT_EQ(open_checkpoint(folder_.path()).prediction_details.flow_shift, 1);
  folder_.write("scheduler/scheduler_config.json",
                R"({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": -1})");
  EXPECT_THAT(refusal(), HasSubstr("shift"));
  folder_.write("scheduler/scheduler_config.json", R"({"_class_name": "EDMEulerScheduler"})");
  EXPECT_THAT(refusal(), HasSubstr("EDMEulerScheduler"));
}

TEST_F(DiffusersFolder, TheScaleOfLatentsIsReadFromTheVae) {
  write_all();
  folder_.write("vae/config.json", R"({"scaling_factor": 0.18215})");
  EXPECT_FALSE(open_checkpoint(folder_.path()).metadata.contains("lowrank.latent_scale"));
  folder_.write("vae/config.json", R"({"scaling_factor": 0.25})");
  EXPECT_EQ(open_checkpoint(folder_.path()).metadata.at("lowrank.latent_scale"), "0.25");
}

TEST_F(DiffusersFolder, HeadsAndFamilyAreReadFromTheConfiguration) {
  write_all();
  folder_.write("unet/config.json", R"({"attention_head_dim": [8, 8], "num_attention_heads": null})");
  EXPECT_EQ(open_checkpoint(folder_.path()).unet_heads.value().count, 8);
  folder_.write("unet/config.json", R"({"attention_head_dim": 8, "num_attention_heads": 4})");
  EXPECT_EQ(open_checkpoint(folder_.path()).unet_heads.value().count, 4);
  folder_.write("unet/config.json", R"({"attention_head_dim": [5, 10, 20, 20]})");
  EXPECT_THAT(refusal(), HasSubstr("differs between levels"));
  // As Stability AI's own folders state it: heads 64 wide.
  folder_.write("unet/config.json",
                R"({"attention_head_dim": [5, 10, 20, 20], "block_out_channels": [320, 640, 1280, 1280]})");
  EXPECT_EQ(open_checkpoint(folder_.path()).unet_heads.value().width, 64);
  folder_.write("unet/config.json", R"({"attention_head_dim": -8})");
  EXPECT_THAT(refusal(), HasSubstr("not a valid number of attention heads"));
  folder_.write("unet/config.json", R"({"addition_embed_type": "text_time"})");
  EXPECT_THAT(refusal(), HasSubstr("text_encoder_2"));
  folder_.write("unet/config.json", "{}");
  folder_.write("text_encoder/config.json", R"({"hidden_act": "gelu", "hidden_size": 1024})");
  EXPECT_EQ(open_checkpoint(folder_.path()).base_model, BaseModel::kSd2);
  std::filesystem::create_directory(folder_.path() / "transformer");
  EXPECT_THAT(refusal(), HasSubstr("a transformer model"));
}

TEST_F(DiffusersFolder, MissingWeightsAndUnknownKeysAreTold) {
  unet_.push_back({"encoder_hid_proj.weight", DType::kF16, {1}, vae_[0].bytes.first(2)});
  write_all();
  EXPECT_EQ(open_checkpoint(folder_.path()).unused, std::vector<std::string>{"unet/encoder_hid_proj.weight"});
  std::filesystem::remove(folder_.path() / "vae/diffusion_pytorch_model.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("no weights"));
  const TemporaryFolder empty;
  EXPECT_THAT(error_of([&] { open_checkpoint(empty.path()); }), HasSubstr("not a diffusers checkpoint"));
}

// ── a VAE alone ──

TEST_F(DiffusersFolder, VaeAloneIsReadInEveryNaming) {
  write_all();
  expect_same(open_vae(folder_.path())[Component::kVae], single_[Component::kVae]);
  expect_same(open_vae(folder_.path() / "vae")[Component::kVae], single_[Component::kVae]);
  expect_same(open_vae(folder_.path() / "vae/diffusion_pytorch_model.safetensors")[Component::kVae],
              single_[Component::kVae]);
  std::vector<weights::TensorView> rooted, bare;
  for (const auto& [name, view] : single_[Component::kVae]) {
    add(rooted, "first_stage_model." + name, view);
    add(bare, name, view);
  }
  write_safetensors(folder_.path() / "rooted.safetensors", rooted);
  write_safetensors(folder_.path() / "bare.safetensors", bare);
  expect_same(open_vae(folder_.path() / "rooted.safetensors")[Component::kVae], single_[Component::kVae]);
  expect_same(open_vae(folder_.path() / "bare.safetensors")[Component::kVae], single_[Component::kVae]);
  expect_same(open_vae(tiny_model())[Component::kVae], single_[Component::kVae]);
  EXPECT_THAT(error_of([] { open_vae(fixture("sd15-tiny/sd15-tiny-lora_attn.safetensors")); }),
              HasSubstr("is not a VAE"));
}

TEST(Vae, PicklesAreRead) {
  using namespace weights::pickle;
  const std::string tensor =
      weights::pickle::tensor(storage("FloatStorage", "0", 4), 0, {2, 2, 1, 1}, {2, 1, 1, 1});
  const std::string state = kEmptyDict + text("decoder.conv_in.weight") + tensor + kSetItem +
                            text("decoder.conv_in.bias") + tensor + kSetItem + text("loss.logvar") + tensor +
                            kSetItem;
  const TemporaryFolder folder;
  const auto path = folder.write(
      "x.vae.pt", weights::archive(kProto + kEmptyDict + text("state_dict") + state + kSetItem + kStop,
                                   std::string(16, '\0')));
  const auto checkpoint = open_vae(path);
  EXPECT_EQ(checkpoint[Component::kVae].at("decoder.conv_in.weight").shape, (Shape{2, 2, 1, 1}));
  EXPECT_EQ(checkpoint.unused, std::vector<std::string>{"loss.logvar"});
  std::filesystem::create_directories(folder.path() / "vae");
  std::filesystem::rename(path, folder.path() / "vae/diffusion_pytorch_model.bin");
  EXPECT_TRUE(open_vae(folder.path())[Component::kVae].contains(
      "decoder.conv_in.weight"));  // the same name in both namings
}

// ── finding ──

TEST(FindCheckpoints, FilesAndFoldersComeInNaturalOrder) {
  const TemporaryFolder folder;
  for (const char* name :
       {"v10.safetensors", "v2.safetensors", "B.ckpt", "a/x.safetensors", "a/x.vae.safetensors", "notes.txt",
        ".hidden.safetensors", "x.vae.ckpt", "diff/unet/d.safetensors", "diff/vae/d.safetensors"})
    folder.write(name, "");
  std::filesystem::create_directory_symlink(folder.path(), folder.path() / "loop");
  std::vector<std::string> names;
  for (const auto& path : find_checkpoints(folder.path()))
    names.push_back(path.lexically_relative(folder.path()).string());
  EXPECT_THAT(names, ElementsAre("a/x.safetensors", "B.ckpt", "diff", "v2.safetensors", "v10.safetensors"));
  EXPECT_TRUE(find_checkpoints(folder.path() / "none").empty());
}

TEST(NaturalOrder, DigitsCountByValueAndCaseDoesNot) {
  const std::vector<std::string> ordered = {
      "", "a/z", "a b", "A1", "a01", "a1b", "a2", "a10", "a18446744073709551616", "B", "b"};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      if (ordered[i] == ordered[j]) continue;
      const bool same_value =
          (ordered[i] == "A1" && ordered[j] == "a01") || (ordered[i] == "a01" && ordered[j] == "A1");
      if (same_value) continue;
      EXPECT_EQ(natural_less(ordered[i], ordered[j]), i < j) << ordered[i] << " " << ordered[j];
    }
  }
  EXPECT_NE(natural_less("A1", "a01"), natural_less("a01", "A1"));
}

}  // namespace
}  // namespace lowrank::formats
