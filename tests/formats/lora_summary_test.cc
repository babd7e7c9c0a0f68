// The quick look equals the strict reading on every kind of adapter.
#include "formats/lora/lora_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "formats/crafted_models.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_fit.h"
#include "formats/natural_order.h"

namespace lowrank::formats {
namespace {

void expect_equal_to_strict_reading(const std::filesystem::path& path) {
  LoraSummariser summariser;
  const LoraFile lora = open_lora(path);
  for (int round = 0; round < 2; ++round) {  // the second time names are remembered
    const LoraSummary summary = summariser.read(path);
    EXPECT_EQ(summary.problem, "");
    EXPECT_EQ(summary.architecture, architecture_name(lora.base_model)) << path;
    EXPECT_EQ(summary.base_reason, lora.base_model_reason);
    EXPECT_EQ(summary.metadata, lora.file->metadata());
    std::set<AdapterKind> kinds;
    std::int64_t low = 0, high = 0, unet = 0;
    for (const auto& entry : lora.entries) {
      kinds.insert(entry.kind);
      unet += entry.component == Component::kUnet ? 1 : 0;
      if (entry.rank == 0) continue;
      low = low == 0 ? entry.rank : std::min(low, entry.rank);
      high = std::max(high, entry.rank);
    }
    EXPECT_EQ(std::set<AdapterKind>(summary.kinds.begin(), summary.kinds.end()), kinds);
    EXPECT_EQ(summary.rank_low, low);
    EXPECT_EQ(summary.rank_high, high);
    EXPECT_EQ(summary.unet_modules, unet);
    EXPECT_EQ(summary.text_modules, static_cast<std::int64_t>(lora.entries.size()) - unet);
  }
}

TEST(LoraSummary, EqualsTheStrictReadingOfTheReferenceFiles) {
  for (const char* name : {"lora_attn", "locon_all", "loha_attn", "lokr_all", "full_attn", "lora_te"})
    expect_equal_to_strict_reading(fixture(fmt::format("sd15-tiny/sd15-tiny-{}.safetensors", name)));
}

TEST(LoraSummary, NamesEmbeddingsInTheFileAndFilesOfWhichNothingActs) {
  const TemporaryFolder folder;
  const std::string m = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  write_named(folder.path() / "a.safetensors", {{m + ".lora_down.weight", {4, 768}},
                                                {m + ".lora_up.weight", {8, 4}},
                                                {"bundle_emb.red fox.clip_l", {1, 768}}});
  write_named(
      folder.path() / "t.safetensors",
      {{m + ".q_layer.weight", {4, 768}}, {m + ".p_layer.weight", {8, 4}}, {m + ".lambda_layer", {1, 4}}});
  LoraSummariser summariser;
  EXPECT_EQ(summariser.read(folder.path() / "a.safetensors").embeddings, std::vector<std::string>{"red fox"});
  const LoraSummary named = summariser.read(folder.path() / "t.safetensors");
  EXPECT_NE(named.problem.find("T-LoRA"), std::string::npos) << named.problem;
}

TEST(LoraSummary, EqualsTheStrictReadingOfEveryKind) {
  const std::string m = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  const std::vector<std::vector<Named>> files = {
      {{m + ".lora_down.weight", {4, 768}}, {m + ".lora_up.weight", {8, 4}}},
      {{m + ".lora_down.weight", {4, 768, 3, 3}}, {m + ".lora_up.weight", {8, 4, 1, 1}}},
      {{m + ".hada_w1_a", {8, 3}},
       {m + ".hada_w1_b", {3, 1024}},
       {m + ".hada_w2_a", {8, 3}},
       {m + ".hada_w2_b", {3, 1024}}},
      {{m + ".lokr_w1", {2, 2}}, {m + ".lokr_w2_a", {4, 5}}, {m + ".lokr_w2_b", {5, 384}}},
      {{m + ".weight", {768}}, {m + ".on_input", {1}}},
      {{m + ".diff", {8, 768}}},
      {{m + ".w_norm", {8}}, {m + ".b_norm", {8}}},
      {{m + ".a1.weight", {768, 3}},
       {m + ".a2.weight", {3, 768}},
       {m + ".b1.weight", {8, 3}},
       {m + ".b2.weight", {3, 768}}},
      {{m + ".oft_blocks", {2, 4, 4}}},
      {{m + ".oft_blocks", {1, 2, 4, 4}}},
      {{"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", {2, 16}},
       {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight", {16, 2}}},
      {{"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", {2, 16}},
       {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", {16, 2}},
       {m + ".lora_down.weight", {4, 2048}},
       {m + ".lora_up.weight", {8, 4}}},
  };
  const TemporaryFolder folder;
  int number = 0;
  for (const auto& tensors : files) {
    const auto path = folder.path() / fmt::format("{}.safetensors", number++);
    write_named(path, tensors, {{"ss_v2", "False"}, {"quote", "a \"b\" {c} \\ ü"}});
    expect_equal_to_strict_reading(path);
  }
}

TEST(LoraSummary, EqualsTheStrictReadingOfWhatPeftWrites) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(fixture("peft"))) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    expect_equal_to_strict_reading(entry.path() / "adapter_model.safetensors");
    ++files;
  }
  EXPECT_GT(files, 30);
}

// A file of which nothing can be used is unusable in every list, for the reason that reading it gives.
TEST(LoraSummary, SaysWhatTheStrictReadingSaysOfUnusableFiles) {
  const std::string m = "base_model.model.down_blocks.0.attentions.0.proj_in";
  for (const auto& tensors :
       std::vector<std::vector<Named>>{{{m + ".lora_A.weight", {4, 16}}},
                                       {{m + ".lora_A.weight", {4, 16}}, {m + ".lora_B.weight", {8, 3}}},
                                       {{m + ".vera_lambda_b", {8}}, {m + ".vera_lambda_d", {2}}},
                                       {{m + ".hada_w1_a", {4, 2}},
                                        {m + ".hada_w1_b", {2, 4}},
                                        {m + ".hada_w2_a", {4, 3}},
                                        {m + ".hada_w2_b", {2, 4}}}}) {
    const TemporaryFolder folder;
    write_named(folder.path() / "a.safetensors", tensors);
    const LoraFile lora = open_lora(folder.path() / "a.safetensors");
    EXPECT_NE(unusable_reason(lora), "");
    EXPECT_EQ(LoraSummariser().read(folder.path() / "a.safetensors").problem,
              fmt::format("{}: {}", (folder.path() / "a.safetensors").string(), unusable_reason(lora)));
  }
}

// The pair of a LoRA on one layer under `more` of a header, with `data` bytes behind it.
std::string lora_bytes(const std::string& more, std::size_t data = 48, const std::string& dtype = "F32") {
  const std::string m = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  const std::string header =
      "{" + more + "\"" + m + ".lora_down.weight\":{\"dtype\":\"" + dtype +
      "\",\"shape\":[2,4],\"data_offsets\":[0,32]},\"" + m +
      ".lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[32,48]}}";
  return weights::safetensors_bytes(header, std::string(data, '\0'));
}

// What lists the collection and what loads a file say the same of it, sound or not.
TEST(LoraSummary, OneReaderGivesOneVerdict) {
  const std::string twin = R"("x.alpha":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)";
  const std::vector<std::pair<std::string, bool>> files = {
      {lora_bytes(""), true},
      {lora_bytes(R"("__metadata__":null,)"), true},
      {lora_bytes(R"("__metadata__":{"n":1,"ss_v2":"False"},)"), true},
      {lora_bytes(R"("__metadata__":{"a":["x"],"b":{"c":{}}},)"), true},
      {lora_bytes(R"("__metadata__":{"a":"1","a":"2"},)"), true},
      {lora_bytes(R"("__metadata__":{"a":"caf)"
                  "\xe9"
                  R"("},)"),
       true},
      {lora_bytes(twin + twin), false},
      {lora_bytes("", 47), false},
      {lora_bytes("", 49), false},
      {lora_bytes(R"("x.alpha":{"dtype":"F99","shape":[0],"data_offsets":[0,0]},)"), false},
      {lora_bytes(R"("x.alpha":{"dtype":"F32","shape":[1],"data_offsets":[0,0]},)"), false},
      {lora_bytes(R"("x.alpha":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]},)"), false},
      {lora_bytes("\"\xff.alpha\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"), false},
      {weights::safetensors_bytes("[]"), false},
      {weights::safetensors_bytes("{"), false},
      {"", false},
      {"<html>", false},
  };
  const TemporaryFolder folder;
  int number = 0;
  for (const auto& [bytes, is_sound] : files) {
    const auto path = folder.path() / fmt::format("{}.safetensors", number++);
    std::ofstream(path, std::ios::binary) << bytes;
    const LoraSummary summary = LoraSummariser().read(path);
    std::map<std::string, std::string> metadata;
    const std::string refusal = error_of([&] { metadata = open_lora(path).file->metadata(); });
    EXPECT_EQ(summary.problem, refusal) << path;
    EXPECT_EQ(refusal.empty(), is_sound) << path << refusal;
    EXPECT_EQ(summary.metadata, metadata) << path;
  }
}

TEST(LoraSummary, ManyTensorsAreNoLora) {
  EXPECT_EQ(error_of([] { refuse_too_many_tensors(50'000, "x"); }), "");
  EXPECT_THAT(error_of([] { refuse_too_many_tensors(50'001, "x"); }),
              ::testing::HasSubstr("more than any LoRA"));
}

// 16-bit floats saved as the integers of their bits: 0x3C00 is 15360, not 1.
TEST(LoraFile, WholeNumbersAreNoFactors) {
  const std::string m = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  const std::string header =
      "{\"" + m + ".alpha\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},\"" + m +
      ".lora_down.weight\":{\"dtype\":\"U16\",\"shape\":[2,4],\"data_offsets\":[8,24]},\"" + m +
      ".lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[24,40]}}";
  const TemporaryFolder folder;
  const auto path = folder.path() / "bits.safetensors";
  std::ofstream(path, std::ios::binary) << weights::safetensors_bytes(header, std::string(40, '\1'));
  const LoraFile lora = open_lora(path);
  EXPECT_TRUE(lora.entries.empty());
  ASSERT_EQ(lora.skipped.size(), 1u);
  EXPECT_THAT(lora.skipped[0].reason, ::testing::HasSubstr("integers (U16)"));
}

// The numbers are what matters, not the type that they are stored in: I8 with a scale is fine.
TEST(LoraFile, ScaledIntegersAreFactors) {
  const std::string m = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  const std::string header =
      "{\"" + m + ".lora_down.weight\":{\"dtype\":\"I8\",\"shape\":[2,4],\"data_offsets\":[0,8]},\"" + m +
      ".lora_down.scale\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[8,16]},\"" + m +
      ".lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,32]}}";
  const std::string data = std::string("\1\2\3\4\5\6\7\x80", 8) + weights::little(0.5f) +
                           weights::little(0.25f) + std::string(16, '\0');
  const TemporaryFolder folder;
  const auto path = folder.path() / "scaled.safetensors";
  std::ofstream(path, std::ios::binary) << weights::safetensors_bytes(header, data);
  const LoraFile lora = open_lora(path);
  ASSERT_EQ(lora.entries.size(), 1u);
  EXPECT_TRUE(lora.unknown.empty());
  EXPECT_THAT(weights::to_floats(lora.entries[0].parts.at("lora_down.weight")),
              ::testing::ElementsAre(0.5f, 1, 1.5f, 2, 1.25f, 1.5f, 1.75f, -32));
  const LoraSummary summary = LoraSummariser().read(path);
  EXPECT_EQ(summary.problem, "");
  EXPECT_EQ(summary.rank_high, 2);
}

TEST(NaturalKey, OrdersAsNaturalLess) {
  std::mt19937 random(7);
  constexpr std::string_view kLetters = "aAbB/019._\x01\xff";
  const auto draw = [&] {
    std::string name;
    for (auto length = random() % 7; length > 0; --length) name += kLetters[random() % kLetters.size()];
    return name;
  };
  for (int i = 0; i < 20000; ++i) {
    const std::string a = draw(), b = draw();
    ASSERT_EQ(natural_less(a, b), natural_key(a) < natural_key(b)) << a << " | " << b;
  }
}

TEST(LoraFit, TheReferenceAdaptersFitTheTinyModelInFull) {
  const auto checkpoint = open_checkpoint(tiny_model());
  for (const char* name : {"lora_attn", "locon_all", "loha_attn", "lokr_all", "full_attn", "lora_te"}) {
    const auto lora = open_lora(fixture(fmt::format("sd15-tiny/sd15-tiny-{}.safetensors", name)));
    const LoraFit fit = fit_lora(lora, checkpoint);
    EXPECT_EQ(static_cast<std::size_t>(fit.applied_unet + fit.applied_text), lora.entries.size()) << name;
    EXPECT_TRUE(fit.unmet.empty()) << fit.unmet.front().module << ": " << fit.unmet.front().reason;
    EXPECT_EQ(fit.keys_applied, static_cast<std::int64_t>(lora.file->tensors().size()));
    EXPECT_EQ(fit_verdict(fit).find("applies fully: "), 0u) << fit_verdict(fit);
  }
}

// Embeddings inside the file act where they are as wide as the text encoder, as in the engine.
TEST(LoraFit, CountsTheEmbeddingsInsideTheFile) {
  const TemporaryFolder folder;
  const auto checkpoint = open_checkpoint(tiny_model());
  const auto width =
      checkpoint[Component::kTextEncoder].find("embeddings.token_embedding.weight")->second.shape[1];
  const auto verdict = [&](std::int64_t wide) {
    write_named(folder.path() / "a.safetensors",
                {{"lora_unet_conv_in.diff", {32, 4, 3, 3}}, {"bundle_emb.fox.clip_l", {2, wide}}});
    return fit_verdict(fit_lora(open_lora(folder.path() / "a.safetensors"), checkpoint));
  };
  EXPECT_EQ(verdict(width), "applies fully: 2 of 2 modules, all 2 keys");
  EXPECT_EQ(verdict(width + 1), "applies in part: 1 of 2 modules, 1 of 2 keys");
}

TEST(LoraFit, FullyMeansThatNoKeyIsLeftOver) {
  const TemporaryFolder folder;
  const std::string m = "lora_unet_conv_in";
  const std::vector<Named> all = {{m + ".diff_b", {32}}, {m + ".diff", {32, 4, 3, 3}}};
  const auto verdict = [&](const Named& more) {
    auto tensors = all;
    tensors.push_back(more);
    write_named(folder.path() / "a.safetensors", tensors);
    return fit_verdict(fit_lora(open_lora(folder.path() / "a.safetensors"), open_checkpoint(tiny_model())));
  };
  EXPECT_EQ(verdict({"unheard.of", {1}}), "applies in part: 1 of 1 modules, 2 of 3 keys");
  EXPECT_EQ(verdict({m + ".bias_size", {1}}), "applies in part: 1 of 2 modules, 2 of 3 keys");
  EXPECT_EQ(verdict({m + ".alpha", {}, 1}), "applies fully: 1 of 1 modules, all 3 keys");
}

TEST(LoraFit, TellsWhyAModuleHasNoPlace) {
  const TemporaryFolder folder;
  const std::string m = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  write_named(folder.path() / "wide.safetensors",
              {{m + ".lora_down.weight", {4, 2048}},
               {m + ".lora_up.weight", {640, 4}},
               {"lora_unet_nowhere.lora_down.weight", {4, 8}},
               {"lora_unet_nowhere.lora_up.weight", {8, 4}}},
              {});
  const LoraFit fit = fit_lora(open_lora(folder.path() / "wide.safetensors"), open_checkpoint(tiny_model()));
  EXPECT_FALSE(fit.applies());
  ASSERT_EQ(fit.unmet.size(), 2u);
  EXPECT_NE(fit.unmet[0].reason.find("lora_up.weight is [640, 4]"), std::string::npos) << fit.unmet[0].reason;
  EXPECT_EQ(fit.unmet[1].reason, "this model's U-Net has no such layer");
  EXPECT_NE(fit.family.find("SDXL"), std::string::npos);
}

}  // namespace
}  // namespace lowrank::formats
