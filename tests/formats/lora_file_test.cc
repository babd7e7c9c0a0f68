#include "formats/lora/lora_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "formats/crafted_models.h"
#include "formats/lora/kind_shapes.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/lora_summary.h"

namespace lowrank::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Crafted = std::vector<Named>;

LoraFile open_crafted(const std::vector<Named>& tensors,
                      const std::map<std::string, std::string>& metadata = {},
                      const std::string& name = "crafted.safetensors") {
  const TemporaryFolder folder;
  write_named(folder.path() / name, tensors, metadata);
  return open_lora(folder.path() / name);
}

std::string refusal(const std::vector<Named>& tensors) {
  return error_of([&] { open_crafted(tensors); });
}

// Every key of the file is in exactly one place.
void expect_all_counted(const LoraFile& lora) {
  std::multiset<std::string> found(lora.unknown.begin(), lora.unknown.end());
  for (const auto& entry : lora.entries)
    for (const auto& key : entry.keys()) found.insert(key);
  for (const auto& embedding : lora.embeddings)
    for (const auto& [component, view] : embedding.vectors.of) found.insert(view.name);
  for (const auto& skipped : lora.skipped) found.insert(skipped.keys.begin(), skipped.keys.end());
  std::multiset<std::string> keys;
  for (const auto& view : lora.file->tensors()) keys.insert(view.name);
  EXPECT_EQ(found, keys);
}

const std::string kUnet = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
const std::string kCross = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";

std::vector<Named> lora_at(const std::string& module, std::int64_t in = 16) {
  return {{module + ".lora_down.weight", {4, in}},
          {module + ".lora_up.weight", {8, 4}},
          {module + ".alpha", {}, 2}};
}

// ── the reference files ──

struct FileFacts {
  const char* name;
  std::size_t entries;
  std::vector<AdapterKind> kinds;
  std::int64_t rank;
  float alpha;
};

class ReferenceFile : public ::testing::TestWithParam<FileFacts> {};

TEST_P(ReferenceFile, HasItsKindRankAndAlpha) {
  const auto& facts = GetParam();
  const auto lora = open_lora(fixture(fmt::format("sd15-tiny/sd15-tiny-{}.safetensors", facts.name)));
  EXPECT_EQ(lora.entries.size(), facts.entries);
  EXPECT_TRUE(lora.skipped.empty());
  EXPECT_TRUE(lora.unknown.empty());
  expect_all_counted(lora);
  const auto checkpoint = open_checkpoint(tiny_model());
  const auto unet = layer_names(Component::kUnet, layers_of(checkpoint[Component::kUnet]));
  const auto text = layer_names(Component::kTextEncoder, layers_of(checkpoint[Component::kTextEncoder]));
  for (const auto& entry : lora.entries) {
    EXPECT_THAT(facts.kinds, ::testing::Contains(entry.kind)) << entry.module;
    EXPECT_TRUE((entry.component == Component::kUnet ? unet : text).contains(entry.name)) << entry.module;
    if (entry.kind == AdapterKind::kFull) continue;
    EXPECT_EQ(entry.rank, facts.rank) << entry.module;
    EXPECT_EQ(entry.alpha, facts.alpha) << entry.module;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, ReferenceFile,
    ::testing::Values(FileFacts{"lora_attn", 192, {AdapterKind::kLora}, 4, 2},
                      FileFacts{"locon_all", 278, {AdapterKind::kLora, AdapterKind::kLocon}, 4, 1},
                      FileFacts{"loha_attn", 192, {AdapterKind::kLoha}, 3, 3},
                      FileFacts{"lokr_all", 278, {AdapterKind::kLokr}, 2, 2},
                      FileFacts{"full_attn", 64, {AdapterKind::kFull}, 0, 0},
                      FileFacts{"lora_te", 18, {AdapterKind::kLora}, 4, 2}),
    [](const auto& facts) { return facts.param.name; });

TEST(LoraOpen, PickleIsReadLikeSafetensors) {
  const auto lora = open_lora(fixture("pickle/lora.pt"));
  ASSERT_EQ(lora.entries.size(), 1u);
  EXPECT_EQ(lora.entries[0].component, Component::kTextEncoder);
  EXPECT_EQ(lora.entries[0].name, "encoder_layers_0_mlp_fc1");
  EXPECT_EQ(lora.entries[0].rank, 2);
  EXPECT_EQ(lora.entries[0].alpha, 1.0f);
}

// ── names of keys ──

struct Spelling {
  const char* what;
  std::string down, up;
};

class KeySpelling : public ::testing::TestWithParam<Spelling> {};

TEST_P(KeySpelling, GivesOneLoraUnderKohyasPartNames) {
  const auto lora = open_crafted({{GetParam().down, {4, 16}}, {GetParam().up, {8, 4}}});
  ASSERT_EQ(lora.entries.size(), 1u);
  const auto& entry = lora.entries[0];
  EXPECT_EQ(entry.kind, AdapterKind::kLora);
  EXPECT_EQ(entry.name, "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q");
  EXPECT_EQ(entry.parts.at("lora_down.weight").name, GetParam().down);
  EXPECT_EQ(entry.parts.at("lora_up.weight").name, GetParam().up);
  EXPECT_EQ(entry.rank, 4);
  EXPECT_EQ(entry.alpha, std::nullopt);
  expect_all_counted(lora);
}

std::vector<Spelling> spellings() {
  const std::string path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.";
  const std::string peft = "base_model.model." + path + "to_q";
  return {
      {"Kohya", kUnet + ".lora_down.weight", kUnet + ".lora_up.weight"},
      {"KohyaWithPeftNames", kUnet + ".lora_A.weight", kUnet + ".lora_B.weight"},
      {"Diffusers", "unet." + path + "to_q.lora_A.weight", "unet." + path + "to_q.lora_B.weight"},
      {"DiffusersDown", "unet." + path + "to_q.lora.down.weight", "unet." + path + "to_q.lora.up.weight"},
      {"DiffusersLinearLayer", "unet." + path + "to_q.lora_linear_layer.down.weight",
       "unet." + path + "to_q.lora_linear_layer.up.weight"},
      {"DiffusersWithoutWeight", "unet." + path + "to_q.lora.down", "unet." + path + "to_q.lora.up"},
      {"Processor", "unet." + path + "processor.to_q_lora.down.weight",
       "unet." + path + "processor.to_q_lora.up.weight"},
      {"ProcessorWithoutPrefix", path + "processor.to_q_lora.down.weight",
       path + "processor.to_q_lora.up.weight"},
      {"Peft", peft + ".lora_A.weight", peft + ".lora_B.weight"},
      {"PeftNamed", peft + ".lora_A.default.weight", peft + ".lora_B.default.weight"},
      {"OneTrainer", kUnet + ".lora_down.weight", kUnet + ".lora_up.weight"},
      {"LyCoris", "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
       "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight"},
  };
}

INSTANTIATE_TEST_SUITE_P(Writers, KeySpelling, ::testing::ValuesIn(spellings()),
                         [](const auto& spelling) { return spelling.param.what; });

TEST(LoraKeys, AlphaOfAProcessorKeyJoinsItsModule) {
  const std::string path = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora";
  const auto lora = open_crafted(
      {{path + ".down.weight", {4, 16}}, {path + ".up.weight", {8, 4}}, {path + ".alpha", {1}, 3}});
  ASSERT_EQ(lora.entries.size(), 1u);
  EXPECT_EQ(lora.entries[0].alpha, 3.0f);
}

// Apart from LyCORIS' dora_scale: PEFT's stands along the outputs always.
TEST(LoraKeys, MagnitudeVectorOfPeftHasItsOwnName) {
  const std::string path = "base_model.model.conv_in";
  for (const char* suffix :
       {".lora_magnitude_vector", ".lora_magnitude_vector.weight", ".lora_magnitude_vector.default.weight"}) {
    const auto lora = open_crafted(
        {{path + ".lora_A.weight", {4, 16}}, {path + ".lora_B.weight", {8, 4}}, {path + suffix, {8}}});
    ASSERT_EQ(lora.entries.size(), 1u);
    EXPECT_TRUE(lora.entries[0].parts.contains("lora_magnitude_vector")) << suffix;
  }
}

TEST(LoraKeys, TwoSpellingsOfOneLayerAreAddressedTwice) {
  auto tensors = lora_at(kUnet);
  tensors.push_back(
      {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", {4, 16}});
  const auto lora = open_crafted(tensors);
  ASSERT_EQ(lora.entries.size(), 1u);
  ASSERT_EQ(lora.skipped.size(), 1u);
  EXPECT_THAT(lora.skipped[0].reason, HasSubstr("addressed twice"));
  expect_all_counted(lora);
}

TEST(LoraKeys, UnknownSuffixesAndPrefixesAreUnknown) {
  auto tensors = lora_at(kUnet);
  for (const char* name :
       {"lora_unet_x.lora_sideways.weight", "lora_unet_x.y.lora_down.weight", "stranger.lora_down.weight",
        "lora_unet_x.weight", "unet.conv_in.weight", "unet.conv_in.bias", "something", ".alpha"})
    tensors.push_back({name, {1}});
  const auto lora = open_crafted(tensors);
  EXPECT_EQ(lora.entries.size(), 1u);
  EXPECT_EQ(lora.unknown.size(), 8u);
  EXPECT_TRUE(lora.skipped.empty());
  expect_all_counted(lora);
}

// ── kinds ──

struct KindCase {
  const char* what;
  AdapterKind kind;
  std::int64_t rank;
  std::vector<Named> parts;
};

class KindOf : public ::testing::TestWithParam<KindCase> {};

TEST_P(KindOf, IsToldByItsSuffixes) {
  std::vector<Named> tensors;
  for (const auto& part : GetParam().parts) tensors.push_back({kUnet + "." + part.name, part.shape});
  const auto lora = open_crafted(tensors);
  ASSERT_EQ(lora.entries.size(), 1u) << (lora.skipped.empty() ? "" : lora.skipped[0].reason);
  EXPECT_EQ(lora.entries[0].kind, GetParam().kind);
  EXPECT_EQ(lora.entries[0].rank, GetParam().rank);
  EXPECT_EQ(lora.entries[0].parts.size(), tensors.size());
  expect_all_counted(lora);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, KindOf,
    ::testing::Values(
        KindCase{"Linear",
                 AdapterKind::kLora,
                 4,
                 {{"lora_down.weight", {4, 16}}, {"lora_up.weight", {8, 4}}, {"alpha", {}}}},
        KindCase{"OneByOne",
                 AdapterKind::kLora,
                 4,
                 {{"lora_down.weight", {4, 16, 1, 1}}, {"lora_up.weight", {8, 4, 1, 1}}}},
        KindCase{"WithBias",
                 AdapterKind::kLora,
                 4,
                 {{"lora_down.weight", {4, 16}}, {"lora_up.weight", {8, 4}}, {"lora_up.bias", {8}}}},
        KindCase{"WithScale",
                 AdapterKind::kLora,
                 4,
                 {{"lora_down.weight", {4, 16}},
                  {"lora_up.weight", {8, 4}},
                  {"scale", {}},
                  {"scalar", {}},
                  {"dora_scale", {8, 1}}}},
        KindCase{"Convolution",
                 AdapterKind::kLocon,
                 4,
                 {{"lora_down.weight", {4, 16, 3, 3}}, {"lora_up.weight", {8, 4, 1, 1}}}},
        KindCase{"Tucker",
                 AdapterKind::kLocon,
                 4,
                 {{"lora_down.weight", {4, 16, 1, 1}},
                  {"lora_mid.weight", {4, 4, 3, 3}},
                  {"lora_up.weight", {8, 4, 1, 1}}}},
        KindCase{
            "Loha",
            AdapterKind::kLoha,
            3,
            {{"hada_w1_a", {8, 3}}, {"hada_w1_b", {3, 16}}, {"hada_w2_a", {8, 3}}, {"hada_w2_b", {3, 16}}}},
        KindCase{"LohaTucker",
                 AdapterKind::kLoha,
                 3,
                 {{"hada_w1_a", {3, 8}},
                  {"hada_w1_b", {3, 16}},
                  {"hada_w2_a", {3, 8}},
                  {"hada_w2_b", {3, 16}},
                  {"hada_t1", {3, 3, 3, 3}},
                  {"hada_t2", {3, 3, 3, 3}}}},
        KindCase{
            "LokrFull", AdapterKind::kLokr, 0, {{"lokr_w1", {2, 4}}, {"lokr_w2", {4, 4}}, {"alpha", {}}}},
        KindCase{"LokrSecondFactored",
                 AdapterKind::kLokr,
                 2,
                 {{"lokr_w1", {2, 4}}, {"lokr_w2_a", {4, 2}}, {"lokr_w2_b", {2, 4}}}},
        KindCase{"LokrFirstFactored",
                 AdapterKind::kLokr,
                 1,
                 {{"lokr_w1_a", {2, 1}}, {"lokr_w1_b", {1, 4}}, {"lokr_w2", {4, 4}}}},
        KindCase{
            "LokrBothFactored",
            AdapterKind::kLokr,
            3,
            {{"lokr_w1_a", {2, 1}}, {"lokr_w1_b", {1, 4}}, {"lokr_w2_a", {4, 3}}, {"lokr_w2_b", {3, 4}}}},
        KindCase{
            "LokrTucker",
            AdapterKind::kLokr,
            2,
            {{"lokr_w1", {2, 4}}, {"lokr_w2_a", {2, 4}}, {"lokr_w2_b", {2, 4}}, {"lokr_t2", {2, 2, 3, 3}}}},
        KindCase{"Ia3", AdapterKind::kIa3, 0, {{"weight", {8}}, {"on_input", {}}}},
        KindCase{"Full", AdapterKind::kFull, 0, {{"diff", {8, 16}}, {"diff_b", {8}}}},
        KindCase{"Norm", AdapterKind::kNorm, 0, {{"w_norm", {8}}, {"b_norm", {8}}}},
        KindCase{
            "GloraOld",
            AdapterKind::kGlora,
            2,
            {{"a1.weight", {2, 16}}, {"a2.weight", {16, 2}}, {"b1.weight", {2, 16}}, {"b2.weight", {8, 2}}}},
        KindCase{
            "GloraCurrent",
            AdapterKind::kGlora,
            2,
            {{"a1.weight", {16, 2}}, {"a2.weight", {2, 16}}, {"b1.weight", {8, 2}}, {"b2.weight", {2, 16}}}},
        KindCase{
            "Oft", AdapterKind::kOft, 0, {{"oft_blocks", {2, 4, 4}}, {"alpha", {}}, {"rescale", {8, 1}}}},
        KindCase{"OftDiagonal", AdapterKind::kOft, 0, {{"oft_diag", {2, 4, 4}}}},
        KindCase{"Boft", AdapterKind::kBoft, 0, {{"oft_blocks", {3, 2, 4, 4}}}}),
    [](const auto& kind) { return kind.param.what; });

TEST(LoraKinds, EveryKindHasANameAndARow) {
  for (const auto& row : kind_table()) EXPECT_EQ(adapter_kind_name(row.kind), row.name);
  EXPECT_EQ(kind_table().size(), 25u);
}

// ── what is skipped ──

std::string skip_reason(const std::vector<Named>& parts) {
  std::vector<Named> tensors = lora_at("lora_unet_other");
  for (const auto& part : parts) tensors.push_back({kUnet + "." + part.name, part.shape, part.value});
  const auto lora = open_crafted(tensors);
  expect_all_counted(lora);
  return lora.skipped.size() == 1 ? lora.skipped[0].reason : fmt::format("{} skipped", lora.skipped.size());
}

TEST(LoraSkips, IncompleteSetsNameWhatIsMissing) {
  EXPECT_EQ(skip_reason({{"lora_up.weight", {8, 4}}, {"alpha", {}}}),
            "incomplete LoRA: lora_down.weight is missing");
  EXPECT_EQ(skip_reason({{"hada_w1_a", {8, 4}}, {"hada_w1_b", {4, 8}}}),
            "incomplete LoHa: hada_w2_a and hada_w2_b is missing");
  EXPECT_EQ(skip_reason({{"lokr_w1", {2, 2}}, {"lokr_w2_a", {2, 2}}}),
            "incomplete LoKr: lokr_w2_b is missing");
  EXPECT_EQ(skip_reason({{"diff_b", {8}}}), "incomplete: no factors, only settings");
  EXPECT_EQ(skip_reason({{"alpha", {}}}), "incomplete: no factors, only settings");
}

TEST(LoraSkips, FactorsAndAlphasThatMakeNoSenseAreNamed) {
  EXPECT_THAT(skip_reason({{"lora_down.weight", {4, 16}}, {"lora_up.weight", {8, 5}}}),
              HasSubstr("lora_down.weight is [4, 16], lora_up.weight is [8, 5]"));
  EXPECT_THAT(skip_reason({{"lora_down.weight", {}}, {"lora_up.weight", {8, 5}}}), HasSubstr("do not match"));
  EXPECT_THAT(skip_reason({{"lora_down.weight", {0, 16}}, {"lora_up.weight", {8, 0}}}),
              HasSubstr("do not match"));
  EXPECT_THAT(skip_reason({{"lora_down.weight", {4, 16}}, {"lora_up.weight", {8, 4}}, {"alpha", {2}}}),
              HasSubstr("a single number"));
  EXPECT_THAT(skip_reason({{"lora_down.weight", {4, 16}},
                           {"lora_up.weight", {8, 4}},
                           {"alpha", {}, std::numeric_limits<float>::quiet_NaN()}}),
              HasSubstr("finite"));
}

TEST(LoraSkips, ForeignPartsLeaveTheirModuleUsable) {
  EXPECT_EQ(skip_reason({{"lora_down.weight", {4, 16}},
                         {"lora_up.weight", {8, 4}},
                         {"bias_indices", {1}},
                         {"bias_values", {1}}}),
            "a sparse bias is not supported");
  EXPECT_EQ(skip_reason({{"lora_down.weight", {4, 16}}, {"lora_up.weight", {8, 4}}, {"diff_b", {8}}}),
            "'diff_b' together with a LoRA is not supported");
}

TEST(LoraKeys, EmbeddingsInTheFileAreTakenByTheirName) {
  auto tensors = lora_at(kUnet);
  tensors.push_back({"bundle_emb.red.fox.string_to_param.*", {2, 768}});
  tensors.push_back({"bundle_emb.wolf.clip_l", {768}});
  tensors.push_back({"bundle_emb.wolf.clip_g", {1, 1280}});
  tensors.push_back({"bundle_emb.bad.clip_l", {1, 2, 3}});
  tensors.push_back({"bundle_emb.odd.t5", {1, 4096}});
  const auto lora = open_crafted(tensors);
  ASSERT_EQ(lora.embeddings.size(), 2u);
  EXPECT_EQ(lora.embeddings[0].name, "red.fox");
  EXPECT_EQ(lora.embeddings[0].vectors.find(Component::kTextEncoder)->shape, (Shape{2, 768}));
  EXPECT_EQ(lora.embeddings[1].name, "wolf");
  EXPECT_EQ(lora.embeddings[1].vectors.find(Component::kTextEncoder)->shape, (Shape{1, 768}));
  EXPECT_EQ(lora.embeddings[1].vectors.find(Component::kTextEncoder2)->shape, (Shape{1, 1280}));
  std::map<std::string, std::string> reasons;
  for (const auto& skipped : lora.skipped) reasons[skipped.keys.at(0)] = skipped.reason;
  EXPECT_EQ(reasons.size(), 2u);
  EXPECT_THAT(reasons["bundle_emb.bad.clip_l"], HasSubstr("[1, 2, 3]"));
  EXPECT_THAT(reasons["bundle_emb.odd.t5"], HasSubstr("unknown form"));
  expect_all_counted(lora);
}

TEST(LoraSkips, TLoraIsNamed) {
  const auto lora = open_crafted({{kUnet + ".q_layer.weight", {4, 16}},
                                  {kUnet + ".p_layer.weight", {8, 4}},
                                  {kUnet + ".lambda_layer", {1, 4}},
                                  {kUnet + ".alpha", {}, 2}});
  EXPECT_TRUE(lora.entries.empty());
  ASSERT_EQ(lora.skipped.size(), 1u);
  EXPECT_THAT(lora.skipped[0].reason, HasSubstr("T-LoRA"));
  EXPECT_THAT(lora.skipped[0].reason, HasSubstr("not in the file"));
  expect_all_counted(lora);
}

TEST(LoraSkips, SavedModulesAreTold) {
  auto tensors = lora_at(kUnet);
  tensors.push_back({"base_model.model.text_model.embeddings.token_embedding.lora_embedding_A", {4, 4}});
  tensors.push_back({"base_model.model.conv_in.modules_to_save.default.weight", {4, 4}});
  const auto lora = open_crafted(tensors);
  ASSERT_EQ(lora.skipped.size(), 2u);
  std::map<std::string, std::string> reasons;
  for (const auto& skipped : lora.skipped) reasons[skipped.keys[0]] = skipped.reason;
  EXPECT_THAT(reasons["base_model.model.text_model.embeddings.token_embedding.lora_embedding_A"],
              HasSubstr("embedding table"));
  EXPECT_THAT(reasons["base_model.model.conv_in.modules_to_save.default.weight"], HasSubstr("whole module"));
  expect_all_counted(lora);
}

// ── refusals ──

TEST(LoraRefuses, OtherArchitecturesByName) {
  EXPECT_THAT(refusal(lora_at("lora_unet_double_blocks_0_img_attn_qkv")), HasSubstr("FLUX"));
  EXPECT_THAT(refusal(lora_at("transformer.single_transformer_blocks.0.attn.to_q")), HasSubstr("FLUX"));
  EXPECT_THAT(refusal(lora_at("diffusion_model.double_blocks.0.img_attn.qkv")), HasSubstr("FLUX"));
  EXPECT_THAT(refusal(lora_at("lora_unet_joint_blocks_0_x")), HasSubstr("SD3"));
  // As the models' own code, diffusers and the trainers name the layers of newer ones.
  for (const auto& [module, architecture] :
       {std::pair("diffusion_model.blocks.0.self_attn.q", "LoRA for Wan ("),
        {"lora_unet_blocks_0_cross_attn_k", "LoRA for Wan ("},
        {"transformer.blocks.0.ffn.net.0.proj", "LoRA for Wan ("},
        {"lora_unet_blocks_0_cross_attn_k_proj", "LoRA for Anima or Cosmos"},
        {"diffusion_model.double_blocks.0.img_attn_qkv", "LoRA for HunyuanVideo"},
        {"lora_unet_double_blocks_0_img_mlp_fc1", "LoRA for HunyuanVideo"},
        {"transformer.transformer_blocks.0.img_mlp.net.0.proj", "LoRA for Qwen-Image"},
        {"diffusion_model.layers.0.attention.qkv", "LoRA for Lumina or Z-Image"},
        {"lora_unet_layers_0_feed_forward_w1", "LoRA for Lumina or Z-Image"},
        {"transformer.transformer_blocks.0.attn1.to_q", "LoRA for PixArt, LTX or another"},
        {"joint_transformer_blocks.0.attn.to_q", "LoRA for AuraFlow"},
        {"transformer.x_embedder", "LoRA for FLUX, SD3 or another"}})
    EXPECT_THAT(refusal(lora_at(module)), HasSubstr(architecture)) << module;
  EXPECT_THAT(refusal(lora_at("lora_te3_encoder_block_0")), HasSubstr("SD3"));
  EXPECT_THAT(refusal(lora_at("text_encoders.t5xxl.transformer.x")), HasSubstr("SD3"));
  EXPECT_THAT(refusal(lora_at("lora_prior_unet_down_blocks_0")), HasSubstr("Stable Cascade"));
}

TEST(LoraRefuses, FilesThatAreNone) {
  EXPECT_THAT(error_of([] { open_lora(tiny_model()); }), HasSubstr("an SD 1.x checkpoint"));
  EXPECT_THAT(refusal({{"emb_params", {1, 768}}}), HasSubstr("textual inversion"));
  EXPECT_THAT(refusal({}), HasSubstr("without named tensors"));
  EXPECT_THAT(refusal({{"control_model.x", {1}}}), HasSubstr("is not a LoRA, it looks like a ControlNet"));
  EXPECT_THAT(refusal({{"ip_adapter.1.to_k_ip.weight", {1}}}), HasSubstr("an IP-Adapter"));
  EXPECT_THAT(refusal({{"encoder.layers.0.mlp.fc1.weight", {1}}}), HasSubstr("a CLIP text encoder"));
  EXPECT_THAT(refusal({{"any.thing.weight", {1, 2, 3}}, {"b.x", {1}}}),
              HasSubstr("(its first tensor is 'any.thing.weight')"));
}

// No file is refused as what it is said to be: "is not a LoRA, it looks like a LoRA".
TEST(LoraRefuses, LorasOfOtherProgramsInATrueSentence) {
  const std::string other = refusal(lora_at("fancy_net.block.7"));
  EXPECT_THAT(other, HasSubstr("'fancy_net.block.7"));
  EXPECT_EQ(other.find("is not a LoRA"), std::string::npos);
  // The names of cloneofsimo's safetensors files; its first .pt files are lists.
  const std::string numbered = refusal({{"unet:0:up", {8, 4}}, {"unet:0:down", {4, 8}}});
  EXPECT_THAT(numbered, HasSubstr("first LoRA trainer"));
  EXPECT_EQ(numbered.find("is not a LoRA"), std::string::npos);
  EXPECT_THAT(error_of([] { open_lora(fixture("pickle/list.pt")); }), HasSubstr("first LoRA trainer"));
}

// ── base model ──

BaseModel base_of(const std::vector<Named>& tensors,
                  const std::map<std::string, std::string>& metadata = {}) {
  return open_crafted(tensors, metadata).base_model;
}

TEST(LoraBaseModel, IsToldByCrossAttentionWidthOfEveryKind) {
  for (const auto& [width, model] : {std::pair(768, BaseModel::kSd1), std::pair(1024, BaseModel::kSd2),
                                     std::pair(2048, BaseModel::kSdxl), std::pair(64, BaseModel::kOther)}) {
    EXPECT_EQ(base_of(lora_at(kCross, width)), model);
    EXPECT_EQ(base_of({{kCross + ".diff", {8, width}}}), model);
    EXPECT_EQ(base_of({{kCross + ".hada_w1_a", {8, 2}},
                       {kCross + ".hada_w1_b", {2, width}},
                       {kCross + ".hada_w2_a", {8, 2}},
                       {kCross + ".hada_w2_b", {2, width}}}),
              model);
    EXPECT_EQ(base_of({{kCross + ".lokr_w1", {2, 8}},
                       {kCross + ".lokr_w2_a", {4, 2}},
                       {kCross + ".lokr_w2_b", {2, width / 8}}}),
              model);
  }
  EXPECT_EQ(open_crafted(lora_at(kCross, 768)).base_model_reason, "cross-attention width is 768");
}

TEST(LoraBaseModel, SdxlIsToldByItsNames) {
  EXPECT_EQ(base_of(lora_at("lora_unet_input_blocks_7_1_transformer_blocks_3_attn1_to_q")), BaseModel::kSdxl);
  auto tensors = lora_at("lora_te2_text_model_encoder_layers_31_mlp_fc2");
  const auto lora = open_crafted(tensors);
  EXPECT_EQ(lora.base_model, BaseModel::kSdxl);
  ASSERT_EQ(lora.entries.size(), 1u);
  EXPECT_EQ(lora.entries[0].component, Component::kTextEncoder2);
  EXPECT_EQ(base_of(lora_at("text_encoder_2.text_model.encoder.layers.0.mlp.fc1")), BaseModel::kSdxl);
}

TEST(LoraBaseModel, TextEncoderAloneTellsByItsWidth) {
  const std::string module = "lora_te_text_model_encoder_layers_0_self_attn_q_proj";
  EXPECT_EQ(base_of(lora_at(module, 768)), BaseModel::kSd1);
  EXPECT_EQ(base_of(lora_at(module, 1024)), BaseModel::kSd2);
  EXPECT_EQ(base_of(lora_at(module, 1280)), BaseModel::kSdxl);
}

TEST(LoraBaseModel, MetadataDecidesWhereShapesCannotAndLosesWhereTheyCan) {
  const auto plain = lora_at("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q");
  EXPECT_EQ(base_of(plain), BaseModel::kOther);
  EXPECT_EQ(base_of(plain, {{"format", "pt"}}), BaseModel::kOther);
  EXPECT_EQ(base_of(plain, {{"ss_network_dim", "4"}}), BaseModel::kSd1);
  EXPECT_EQ(base_of(plain, {{"ss_v2", "True"}, {"ss_base_model_version", "sd_v2"}}), BaseModel::kSd2);
  EXPECT_EQ(base_of(plain, {{"ss_v2", "False"}, {"ss_base_model_version", "sd_v1"}}), BaseModel::kSd1);
  EXPECT_EQ(base_of(plain, {{"ss_base_model_version", "sdxl_base_v1-0"}}), BaseModel::kSdxl);
  EXPECT_EQ(base_of(plain, {{"ss_base_model_version", "flux1"}}), BaseModel::kOther);
  EXPECT_EQ(base_of(plain, {{"modelspec.architecture", "stable-diffusion-xl-v1-base/lora"}}),
            BaseModel::kSdxl);
  const auto lora = open_crafted(lora_at(kCross, 768), {{"ss_base_model_version", "sdxl_base_v1-0"}});
  EXPECT_EQ(lora.base_model, BaseModel::kSd1);
  EXPECT_EQ(lora.base_model_reason,
            "cross-attention width is 768 (although metadata ss_base_model_version is sdxl_base_v1-0)");
}

// A LoRA of self-attention or convolutions alone sees no text, but the families have their attention and levels at other
// places (the published models' configurations).
TEST(LoraBaseModel, IsToldByWhereAttentionIs) {
  EXPECT_EQ(base_of(lora_at("lora_unet_up_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q")),
            BaseModel::kSdxl);
  EXPECT_EQ(base_of(lora_at("lora_unet_output_blocks_0_1_proj_in")), BaseModel::kSdxl);
  EXPECT_EQ(base_of(lora_at("lora_unet_add_embedding_linear_1")), BaseModel::kSdxl);
  const auto level = lora_at("lora_unet_down_blocks_3_resnets_0_conv1");
  EXPECT_EQ(base_of(level), BaseModel::kOther);  // SD 1.x or 2.x
  EXPECT_EQ(base_of(level, {{"ss_v2", "True"}}), BaseModel::kSd2);
  EXPECT_EQ(base_of(level, {{"ss_base_model_version", "sd_v1"}}), BaseModel::kSd1);
  // A small model of one's own has attention where it likes; its width is none of the published ones.
  auto own = lora_at("lora_unet_up_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q");
  for (const auto& tensor :
       lora_at("lora_unet_up_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 256))
    own.push_back(tensor);
  EXPECT_EQ(base_of(own, {{"ss_base_model_version", "sd_v1"}}), BaseModel::kSd1);
  auto text = level;
  for (const auto& tensor : lora_at("lora_te_text_model_encoder_layers_0_mlp_fc1", 1024))
    text.push_back(tensor);
  EXPECT_EQ(base_of(text), BaseModel::kSd2);
}

// SDXL's deepest attention has ten blocks, the refiner's four.
TEST(LoraBaseModel, IsToldByTheNumberOfTransformerBlocks) {
  const auto ninth = lora_at("lora_unet_middle_block_1_transformer_blocks_9_attn1_to_q");
  EXPECT_EQ(base_of(ninth), BaseModel::kSdxl);
  EXPECT_TRUE(open_crafted(ninth).is_base_certain);
  const auto third = lora_at("lora_unet_middle_block_1_transformer_blocks_3_attn1_to_q");
  EXPECT_EQ(base_of(third), BaseModel::kSdxl);
  EXPECT_FALSE(open_crafted(third).is_base_certain);
  EXPECT_EQ(base_of(third, {{"ss_base_model_version", "sdxl_refiner_v1-0"}}), BaseModel::kSdxlRefiner);
}

// SDXL's first text encoder is as wide as SD 1.x's: its number in the name or the metadata tell.
TEST(LoraBaseModel, TextEncoderOfTwoFamiliesIsToldByNumberAndMetadata) {
  EXPECT_EQ(base_of(lora_at("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768)), BaseModel::kSdxl);
  EXPECT_EQ(base_of(lora_at("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768),
                    {{"ss_base_model_version", "sd_v1"}}),
            BaseModel::kSd1);
  const auto lora = open_crafted(lora_at("lora_te_text_model_encoder_layers_0_self_attn_v_proj", 768),
                                 {{"ss_base_model_version", "sdxl_base_v1-0"}});
  EXPECT_EQ(lora.base_model, BaseModel::kSdxl);
  EXPECT_EQ(lora.base_model_reason,
            "its text encoder width is 768; metadata ss_base_model_version is sdxl_base_v1-0");
}

// ── OpenCLIP's joined matrix ──

// Rows of query, key and value in that order, as PyTorch's MultiheadAttention defines in_proj_weight.
TEST(LoraFused, IsCutIntoItsThreeLayers) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "fused.safetensors";
  const std::string module = "lora_te2_transformer_resblocks_3_attn_in_proj";
  std::vector<float> up(12), down(4, 1), diff(6);
  for (std::size_t i = 0; i < up.size(); ++i) up[i] = static_cast<float>(i);
  for (std::size_t i = 0; i < diff.size(); ++i) diff[i] = static_cast<float>(i);
  weights::write_safetensors(
      path,
      std::vector<weights::TensorView>{
          {module + ".lora_down.weight", DType::kF32, {2, 2}, std::as_bytes(std::span(down))},
          {module + ".lora_up.weight", DType::kF32, {6, 2}, std::as_bytes(std::span(up))},
          {"lora_te2_transformer_resblocks_4_attn_in_proj.diff",
           DType::kF32,
           {3, 2},
           std::as_bytes(std::span(diff))}},
      {});
  const auto lora = open_lora(path);
  ASSERT_EQ(lora.entries.size(), 6u);
  const char* layers[] = {"q_proj", "k_proj", "v_proj"};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& entry = lora.entries[i];
    EXPECT_EQ(entry.name, std::string("encoder_layers_3_self_attn_") + layers[i]);
    EXPECT_EQ(entry.component, Component::kTextEncoder2);
    const auto& rows = entry.parts.at("lora_up.weight");
    EXPECT_EQ(rows.shape, (Shape{2, 2}));
    const auto first = static_cast<float>(4 * i);
    EXPECT_THAT(weights::to_floats(rows), ElementsAre(first, first + 1, first + 2, first + 3));
    EXPECT_EQ(entry.parts.at("lora_down.weight").shape, (Shape{2, 2}));
    const auto first_of_diff = static_cast<float>(2 * i);
    EXPECT_THAT(weights::to_floats(lora.entries[i + 3].parts.at("diff")),
                ElementsAre(first_of_diff, first_of_diff + 1));
  }
  expect_all_counted(lora);
}

TEST(LoraFused, WhatRowsCannotBeCutFromIsSkippedWithAReason) {
  const std::string module = "lora_te2_transformer_resblocks_3_attn_in_proj";
  const auto reason = [&](std::vector<Named> tensors) {
    tensors.push_back({kUnet + ".diff", {8, 16}});
    const auto lora = open_crafted(tensors);
    EXPECT_EQ(lora.entries.size(), 1u);
    return lora.skipped.at(0).reason;
  };
  EXPECT_THAT(reason({{module + ".lora_down.weight", {2, 4}}, {module + ".lora_up.weight", {7, 2}}}),
              HasSubstr("lora_up.weight is [7, 2]"));
  EXPECT_THAT(reason({{module + ".oft_blocks", {3, 4, 4}}}), HasSubstr("OFT on OpenCLIP's joined matrix"));
  EXPECT_THAT(reason({{module + ".lora_down.weight", {2, 4}},
                      {module + ".lora_up.weight", {12, 2}},
                      {module + ".dora_scale", {1, 4}}}),
              HasSubstr("DoRA by inputs"));
}

// ── names and alpha outside the tensors ──

TEST(LoraOpen, AliasIsTheOutputNameOrTheStem) {
  const auto plain = open_crafted(lora_at(kUnet), {}, "fox.v2.safetensors");
  EXPECT_EQ(plain.name, "fox.v2");
  EXPECT_EQ(plain.alias, "fox.v2");
  EXPECT_EQ(open_crafted(lora_at(kUnet), {{"ss_output_name", "red fox"}}).alias, "red fox");
  EXPECT_EQ(open_crafted(lora_at(kUnet), {{"ss_output_name", ""}}).alias, "crafted");
}

TEST(LoraAlpha, IsReadFromDiffusersMetadata) {
  const std::string q = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", v = "unet.conv_in";
  const std::vector<Named> tensors = {{q + ".lora_A.weight", {4, 16}},
                                      {q + ".lora_B.weight", {8, 4}},
                                      {v + ".lora_A.weight", {4, 16}},
                                      {v + ".lora_B.weight", {8, 4}}};
  const auto alphas = [&](const std::string& settings) {
    const auto lora = open_crafted(tensors, {{"lora_adapter_metadata", settings}});
    return std::vector<float>{lora.entries[0].alpha.value_or(-1), lora.entries[1].alpha.value_or(-1)};
  };
  // Entries come in the order of the file: conv_in before down_blocks.
  EXPECT_THAT(alphas(R"({"unet.r": 4, "unet.lora_alpha": 2})"), ElementsAre(2, 2));
  EXPECT_THAT(alphas(R"({"unet.lora_alpha": 2, "unet.alpha_pattern": {"attn1.to_q": 8}})"),
              ElementsAre(2, 8));
  EXPECT_THAT(alphas(R"({"unet.lora_alpha": 2, "unet.alpha_pattern": {".*attn\\d\\.to_.": 8}})"),
              ElementsAre(2, 8));
  EXPECT_THAT(alphas(R"({"unet.lora_alpha": 2, "unet.use_rslora": true})"), ElementsAre(4, 4));
  EXPECT_THAT(alphas(R"({"text_encoder.lora_alpha": 2})"), ElementsAre(-1, -1));
  EXPECT_THAT(error_of([&] { alphas("[]"); }), HasSubstr("lora_adapter_metadata"));
  EXPECT_THAT(error_of([&] { alphas(R"({"unet.lora_alpha": "x"})"); }), HasSubstr("not a number"));
  EXPECT_THAT(error_of([&] { alphas(R"({"unet.alpha_pattern": {"a(": 1}})"); }), HasSubstr("lacks a ')'"));
}

TEST(LoraAlpha, HostilePatternsEnd) {
  const auto lora =
      open_crafted({{"unet.conv_in.lora_A.weight", {4, 16}}, {"unet.conv_in.lora_B.weight", {8, 4}}},
                   {{"lora_adapter_metadata",
                     R"({"unet.lora_alpha": 2, "unet.alpha_pattern": {"(c*o*n*v*_*i*n*)*x": 8}})"}});
  EXPECT_EQ(lora.entries[0].alpha, 2.0f);
}

TEST(LoraAlpha, IsReadFromTheConfigurationBesideAPeftFile) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "adapter_model.safetensors";
  write_named(path, {{"base_model.model.conv_in.lora_A.weight", {4, 16}},
                     {"base_model.model.conv_in.lora_B.weight", {8, 4}}});
  EXPECT_EQ(open_lora(path).entries[0].alpha, std::nullopt);
  folder.write(
      "adapter_config.json",
      R"({"r": 64, "lora_alpha": 8, "alpha_pattern": {}, "use_rslora": false, "fan_in_fan_out": false})");
  EXPECT_EQ(open_lora(path).entries[0].alpha, 8.0f);
  EXPECT_EQ(open_lora(path).entries[0].rank, 4);
  folder.write("adapter_config.json", R"({"lora_alpha": 8, "fan_in_fan_out": true})");
  EXPECT_THAT(error_of([&] { open_lora(path); }), HasSubstr("fan_in_fan_out"));
  folder.write("adapter_config.json", "{");
  EXPECT_THAT(error_of([&] { open_lora(path); }), HasSubstr("adapter_config.json: is not a JSON object"));
}

// The file of one component, as diffusers' save_lora_adapter writes it: neither keys nor fields bear its name.
TEST(LoraAlpha, IsReadFromMetadataOfOneComponent) {
  const auto lora =
      open_crafted({{"conv_in.lora_A.weight", {4, 16}}, {"conv_in.lora_B.weight", {8, 4}}},
                   {{"lora_adapter_metadata", R"({"r": 4, "lora_alpha": 16, "use_rslora": true})"}});
  EXPECT_EQ(lora.entries[0].alpha, 32.0f);
}

std::vector<Named> peft_lora(const std::string& path) {
  return {{"base_model.model." + path + ".lora_A.weight", {4, 16}},
          {"base_model.model." + path + ".lora_B.weight", {8, 4}}};
}

struct PeftFolder : TemporaryFolder {
  explicit PeftFolder(const std::vector<Named>& tensors, const std::string& settings = "") {
    write_named(file(), tensors);
    if (!settings.empty()) write("adapter_config.json", settings);
  }
  std::filesystem::path file() const { return path() / "adapter_model.safetensors"; }
};

TEST(LoraAlpha, FirstPatternThatFitsWins) {
  const PeftFolder folder(
      peft_lora("down_blocks.0.attentions.0.proj_in"),
      R"({"lora_alpha": 1, "alpha_pattern": {"proj_out": 2, "proj_.*": 3, "attentions.0.proj_in": 4}})");
  EXPECT_EQ(open_lora(folder.file()).entries[0].alpha, 3.0f);
}

// LoHa and LoKr have their own field, and alpha / r always acts: r is the settings' where no tensor shows it.
TEST(LoraAlpha, OfPeftsLohaAndLokrIsTheFieldAlpha) {
  const std::string m = "base_model.model.down_blocks.0.attentions.0.proj_in";
  const PeftFolder whole(
      {{m + ".lokr_w1", {2, 4}}, {m + ".lokr_w2", {4, 4}}},
      R"({"peft_type": "LOKR", "r": 8, "alpha": 2, "lora_alpha": 99, "rank_pattern": {"proj_in": 5}})");
  auto lora = open_lora(whole.file());
  EXPECT_EQ(lora.entries[0].alpha, 2.0f);
  EXPECT_EQ(lora.entries[0].rank, 5);
  const PeftFolder factored(
      {{m + ".lokr_w1", {2, 4}}, {m + ".lokr_w2_a", {4, 3}}, {m + ".lokr_w2_b", {3, 4}}},
      R"({"peft_type": "LOKR", "r": 8, "alpha": 2})");
  lora = open_lora(factored.file());
  EXPECT_EQ(lora.entries[0].alpha, 2.0f);
  EXPECT_EQ(lora.entries[0].rank, 3);
  // LyCORIS' own, without settings: no rank, no scale.
  EXPECT_EQ(open_crafted({{"lora_unet_conv_in.lokr_w1", {2, 4}}, {"lora_unet_conv_in.lokr_w2", {4, 4}}})
                .entries[0]
                .rank,
            0);
}

TEST(LoraOpen, PeftTypesThatAreNotAppliedAreNamed) {
  for (const std::string type : {"XLORA", "GRALORA", "PROMPT_TUNING", "SOMETHING_NEW"}) {
    const PeftFolder folder(peft_lora("conv_in"), R"({"peft_type": ")" + type + "\"}");
    EXPECT_THAT(error_of([&] { open_lora(folder.file()); }), HasSubstr("PEFT adapter of type " + type + ","));
    EXPECT_EQ(LoraSummariser().read(folder.file()).problem, error_of([&] { open_lora(folder.file()); }));
  }
  // Without settings the tensors' names tell.
  const std::string m = "base_model.model.down_blocks.0.attentions.0.proj_in";
  for (const auto& [key, type] : std::map<std::string, std::string>{{".waveft_spectrum", "WAVEFT"},
                                                                    {".gralora_A", "GRALORA"},
                                                                    {".glora_A.Xd", "GLORA"},
                                                                    {".road_theta", "ROAD"}})
    EXPECT_THAT(refusal({{m + key, {4}}}), HasSubstr("PEFT adapter of type " + type + ","));
}

// What PEFT draws and does not save needs the seed in its settings: without them the file is told, not guessed at.
TEST(LoraOpen, DrawnNumbersNeedTheSettings) {
  const std::string m = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
  const auto reason = [&](const Crafted& tensors) {
    const auto lora = open_crafted(tensors);
    EXPECT_TRUE(lora.entries.empty());
    return lora.skipped.empty() ? "" : lora.skipped.front().reason;
  };
  EXPECT_THAT(reason({{m + ".fourierft_spectrum", {4}}}), HasSubstr("put it in the same folder"));
  EXPECT_THAT(reason({{m + ".randlora_lambda", {2, 3}}, {m + ".randlora_gamma", {3, 6}}}),
              HasSubstr("adapter_config.json"));
  EXPECT_THAT(reason({{m + ".vera_lambda_b", {6}}, {m + ".vera_lambda_d", {2}}}),
              HasSubstr("save_projection"));
}

// Of a square convolution [1, n, 1, 1] is LyCORIS' norm per input or PEFT's per output: the other layers tell which.
TEST(LoraOpen, TheOtherLayersTellWhatASquareConvolutionsMagnitudeCounts) {
  const std::string square = "lora_unet_down_blocks_0_resnets_0_conv2",
                    other = "lora_unet_down_blocks_1_resnets_0_conv1",
                    linear = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  const auto layer = [](const std::string& m, std::int64_t out, std::int64_t in,
                        const weights::Shape& scale) {
    return Crafted{{m + ".lora_down.weight", in == 6 ? weights::Shape{2, in} : weights::Shape{2, in, 3, 3}},
                   {m + ".lora_up.weight", in == 6 ? weights::Shape{out, 2} : weights::Shape{out, 2, 1, 1}},
                   {m + ".dora_scale", scale}};
  };
  const auto counts_outputs = [&](Crafted more, std::size_t notes) {
    const Crafted own = layer(square, 4, 4, {1, 4, 1, 1});
    more.insert(more.end(), own.begin(), own.end());
    const auto lora = open_crafted(more);
    EXPECT_EQ(std::count_if(lora.notes.begin(), lora.notes.end(),
                            [](const std::string& note) {
                              return note.find("per input is assumed") != std::string::npos;
                            }),
              static_cast<std::ptrdiff_t>(notes));
    const auto entry = std::find_if(lora.entries.begin(), lora.entries.end(),
                                    [&](const LoraEntry& each) { return each.module == square; });
    return dora_norm(shapes_of(*entry), {.form = LayerForm::kConvolution, .sizes = {4, 4, 3, 3}}) ==
           DoraNorm::kRows;
  };
  EXPECT_TRUE(counts_outputs(layer(other, 8, 4, {1, 8, 1, 1}), 0));
  EXPECT_FALSE(counts_outputs(layer(other, 8, 4, {1, 4, 1, 1}), 0));
  EXPECT_FALSE(counts_outputs(layer(other, 8, 4, {8, 1, 1, 1}), 0));
  EXPECT_TRUE(counts_outputs(layer(linear, 6, 6, {6}), 0));
  EXPECT_FALSE(counts_outputs(layer(linear, 6, 6, {1, 6}), 0));
  EXPECT_FALSE(counts_outputs({}, 1));
}

TEST(LoraOpen, StartsAndVariantsThatTheFileDoesNotTellAreRefused) {
  for (const auto& [settings, words] : std::map<std::string, std::string>{
           {R"({"init_lora_weights": "corda"})", "init_lora_weights is 'corda'"},
           {R"({"init_lora_weights": "loftq"})", "init_lora_weights is 'loftq'"},
           {R"({"init_lora_weights": "lora_ga"})", "init_lora_weights is 'lora_ga'"},
           {R"({"use_qalora": true})", "QALoRA"},
           {R"({"alora_invocation_tokens": [1, 2]})", "activated LoRA"},
           {R"({"arrow_config": {"top_k": 3}})", "Arrow"},
           {R"({"num_cayley_neumann_terms": 0})", "from 1 to 100"}}) {
    const PeftFolder folder(peft_lora("conv_in"), settings);
    EXPECT_THAT(error_of([&] { open_lora(folder.file()); }), HasSubstr(words)) << settings;
  }
  for (const std::string settings :
       {R"({"init_lora_weights": "gaussian"})", R"({"init_lora_weights": true, "use_qalora": false})",
        R"({"arrow_config": null, "layer_replication": []})"})
    EXPECT_EQ(open_lora(PeftFolder(peft_lora("conv_in"), settings).file()).entries.size(), 1u) << settings;
}

TEST(LoraOpen, StartIsReadFromTheSettings) {
  const auto start = [&](const std::string& settings) {
    return open_lora(PeftFolder(peft_lora("conv_in"), settings).file()).entries[0].settings.start;
  };
  EXPECT_EQ(start(R"({"init_lora_weights": "pissa"})"), PeftSettings::Start::kPissa);
  EXPECT_EQ(start(R"({"init_lora_weights": "OLoRA"})"), PeftSettings::Start::kOlora);
  EXPECT_EQ(start(R"({"init_lora_weights": true})"), PeftSettings::Start::kNone);
  const auto nearly =
      open_lora(PeftFolder(peft_lora("conv_in"), R"({"init_lora_weights": "pissa_niter_4"})").file());
  EXPECT_EQ(nearly.entries[0].settings.start, PeftSettings::Start::kPissa);
  EXPECT_THAT(nearly.notes, UnorderedElementsAre(HasSubstr("pissa_niter_4"),
                                                 HasSubstr("the checkpoint that it was trained on")));
}

TEST(LoraOpen, PeftFileWithoutItsSettingsSaysWhatIsAssumed) {
  EXPECT_THAT(open_lora(PeftFolder(peft_lora("conv_in")).file()).notes,
              ElementsAre(HasSubstr("adapter_config.json")));
  EXPECT_TRUE(open_lora(PeftFolder(peft_lora("conv_in"), R"({"lora_alpha": 4})").file()).notes.empty());
}

// Python takes "yes" for true; taken for false it would halve the change without a word.
TEST(LoraOpen, SettingsOfAnotherTypeAreRefused) {
  for (const std::string settings :
       {R"({"use_rslora": "yes"})", R"({"fan_in_fan_out": 1})", R"({"use_dora": "true"})",
        R"({"alpha_pattern": ["conv_in", 2]})", R"({"rank_pattern": "conv_in"})"})
    EXPECT_THAT(error_of([&] { open_lora(PeftFolder(peft_lora("conv_in"), settings).file()); }),
                HasSubstr("adapter_config.json"))
        << settings;
}

TEST(LoraOpen, DoraWithoutItsMagnitudesIsNamed) {
  const std::string settings = R"({"lora_alpha": 4, "use_dora": true})";
  EXPECT_THAT(open_lora(PeftFolder(peft_lora("conv_in"), settings).file()).notes,
              ElementsAre(HasSubstr("no magnitudes")));
  std::vector<Named> tensors = peft_lora("conv_in");
  tensors.push_back({"base_model.model.conv_in.lora_magnitude_vector", {1, 8, 1, 1}});
  EXPECT_TRUE(open_lora(PeftFolder(tensors, settings).file()).notes.empty());
}

TEST(LoraOpen, VeraWithoutItsMatricesIsNamed) {
  const std::string m = "base_model.model.down_blocks.0.attentions.0.proj_in";
  const auto lora = open_crafted({{m + ".vera_lambda_b", {8}}, {m + ".vera_lambda_d", {2}}});
  ASSERT_EQ(lora.skipped.size(), 1u);
  EXPECT_THAT(lora.skipped[0].reason, HasSubstr("save_projection"));
  EXPECT_THAT(unusable_reason(lora), HasSubstr("none of its 1 modules can be used"));
}

TEST(LoraOpen, SettingsBeyondAllMeasureAreRefused) {
  std::string patterns;
  for (int i = 0; i < 30'000; ++i) patterns += fmt::format("{}\"a{}\": 1", i == 0 ? "" : ", ", i);
  EXPECT_THAT(error_of([&] {
                open_lora(PeftFolder(peft_lora("conv_in"), "{\"alpha_pattern\": {" + patterns + "}}").file());
              }),
              HasSubstr("more than 20000 fields"));
  EXPECT_THAT(error_of([&] { open_lora(PeftFolder(peft_lora("conv_in"), std::string(5'000, '[')).file()); }),
              HasSubstr("adapter_config.json"));
  std::string costly;
  for (int i = 0; i < 900; ++i)
    costly += fmt::format("{}\"x{}(a{{500}}|b{{500}})*\": 1", i == 0 ? "" : ", ", i);
  EXPECT_THAT(error_of([&] {
                open_lora(PeftFolder(peft_lora("conv_in"), "{\"rank_pattern\": {" + costly + "}}").file());
              }),
              HasSubstr("too large together"));
}

// The kernel is a size of the layer, never the rank; in a square layer both layouts' sizes occur twice.
TEST(LoraRank, OfGloraIsItsOwnInSquareLayers) {
  const std::string m = "lora_unet_conv_in";
  for (const auto& tensors : std::vector<std::vector<Named>>{{{m + ".a1.weight", {16, 2}},
                                                              {m + ".a2.weight", {2, 16}},
                                                              {m + ".b1.weight", {16, 2}},
                                                              {m + ".b2.weight", {2, 16}}},
                                                             {{m + ".a1.weight", {2, 16}},
                                                              {m + ".a2.weight", {16, 2}},
                                                              {m + ".b1.weight", {2, 16}},
                                                              {m + ".b2.weight", {16, 2}}}}) {
    const TemporaryFolder folder;
    write_named(folder.path() / "glora.safetensors", tensors);
    EXPECT_EQ(open_lora(folder.path() / "glora.safetensors").entries.at(0).rank, 2);
    EXPECT_EQ(LoraSummariser().read(folder.path() / "glora.safetensors").rank_high, 2);
  }
}

TEST(LoraAlpha, TensorWinsOverSettings) {
  auto tensors = lora_at("unet.conv_in");
  EXPECT_EQ(open_crafted(tensors, {{"lora_adapter_metadata", R"({"unet.lora_alpha": 16})"}}).entries[0].alpha,
            2.0f);
}

}  // namespace
}  // namespace lowrank::formats
