// From chunks to vectors: emphasis, clip skip, editing variants, textual inversion.
#include "pipeline/resident/conditioning.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stop_token>

#include "base/error.h"
#include "pipeline/generate/prompt_cost.h"
#include "pipeline/tiny_session.h"
#include "support/expect_close.h"
#include "tensor/state_dict.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using prompt::Emphasis;
using testing::expect_close;

class ConditioningTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    model = new pipeline::LoadedModel(pipeline::load_model(testing::tiny_folder() / "sd15-tiny.safetensors"));
  }
  static void TearDownTestSuite() { delete model; }

  static prompt::ParsedPrompt parse(const std::string& text,
                                    std::vector<prompt::EmbeddingName> embeddings = {},
                                    Emphasis emphasis = Emphasis::kOriginal) {
    prompt::Request request;
    request.prompt = text;
    request.settings.emphasis = emphasis;
    request.settings.embeddings = std::move(embeddings);
    return prompt::parse(request, prompt::Tokenizer());
  }
  static at::Tensor encode(const std::string& text, const pipeline::EncodeSettings& settings = {}) {
    const auto parsed = parse(text, {}, settings.emphasis);
    return pipeline::encode_prompt(model->text_encoders, parsed.pieces.at(0), {}, settings)
        .texts.at(0)
        .context;
  }
  // The encoder's output for one chunk of ids, straight from the model.
  static at::Tensor plain(const prompt::TokenChunk& chunk, int clip_skip = 1) {
    at::Tensor ids = at::empty({1, prompt::kChunkRows}, at::kLong);
    std::ranges::copy(chunk.ids, ids.data_ptr<std::int64_t>());
    return model->text_encoders.front()->encode(ids, clip_skip).select(0, 0);
  }

  const at::NoGradGuard no_grad_;
  static pipeline::LoadedModel* model;
};
pipeline::LoadedModel* ConditioningTest::model = nullptr;

// spec/prompt.md §8, computed by hand in doubles for two rows of two.
TEST(Emphasis, ScalesRowsAndRestoresTheMean) {
  const at::Tensor z = at::tensor({1.0f, 2.0f, 3.0f, -4.0f}).view({1, 2, 2});
  const at::Tensor m = at::tensor({1.0f, 1.5f}).view({1, 2});
  // z·m = 1 2 4.5 −6, mean 0.375; mean(z) = 0.5.
  const double factor = 0.5 / 0.375;
  const at::Tensor expected =
      at::tensor({1 * factor, 2 * factor, 4.5 * factor, -6 * factor}).to(at::kFloat).view({1, 2, 2});
  EXPECT_TRUE(expect_close(pipeline::apply_emphasis(z, m, Emphasis::kOriginal), expected, {.rel = 1e-6}));
  const at::Tensor weighted = at::tensor({1.0f, 2.0f, 4.5f, -6.0f}).view({1, 2, 2});
  EXPECT_TRUE(expect_close(pipeline::apply_emphasis(z, m, Emphasis::kNoNorm), weighted, {.rel = 0}));
  EXPECT_TRUE(expect_close(pipeline::apply_emphasis(z, m, Emphasis::kIgnore), z, {.rel = 0}));
  EXPECT_TRUE(expect_close(pipeline::apply_emphasis(z, m, Emphasis::kNone), z, {.rel = 0}));
}

TEST_F(ConditioningTest, EmphasisActsOnTheRowsOfItsWords) {
  const auto parsed = parse("a (red:1.5) fox");
  const auto& chunk = parsed.pieces.at(0).texts.at(0).chunks.at(0);
  const at::Tensor z = plain(chunk);
  at::Tensor m = at::ones({77, 1});
  m[2] = 1.5;  // start, "a", "red"
  const double factor = z.mean(at::kDouble).item<double>() / (z * m).mean(at::kDouble).item<double>();
  EXPECT_TRUE(expect_close(encode("a (red:1.5) fox"), z * m * factor, {.rel = 1e-6}));
  EXPECT_TRUE(expect_close(encode("a (red:1.5) fox", {.clip_skip = 1, .emphasis = Emphasis::kNoNorm}), z * m,
                           {.rel = 1e-6}));
  EXPECT_TRUE(expect_close(encode("a (red:1.5) fox", {.clip_skip = 1, .emphasis = Emphasis::kIgnore}), z,
                           {.rel = 1e-6}));
}

TEST_F(ConditioningTest, ClipSkipTwoStopsALayerEarlier) {
  const auto parsed = parse("a fox");
  const auto& chunk = parsed.pieces.at(0).texts.at(0).chunks.at(0);
  EXPECT_TRUE(expect_close(encode("a fox", {.clip_skip = 2}), plain(chunk, 2), {.rel = 0}));
  EXPECT_THROW(encode("a fox", {.clip_skip = 4}), Error);  // the tiny encoder has three layers
}

TEST_F(ConditioningTest, ChunksAreLaidEndToEnd) {
  const auto parsed = parse("a fox BREAK a cat");
  const auto& chunks = parsed.pieces.at(0).texts.at(0).chunks;
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_TRUE(expect_close(encode("a fox BREAK a cat"), at::cat({plain(chunks[0]), plain(chunks[1])}),
                           {.rel = 1e-6}));
}

TEST_F(ConditioningTest, VariantsOfAnEditShareOneMean) {
  const auto parsed = parse("a (fox:1.4) [:(red:0.5):10]");
  const auto& piece = parsed.pieces.at(0);
  ASSERT_EQ(piece.texts.size(), 2u);
  const auto encoded = pipeline::encode_prompt(model->text_encoders, piece, {}, {});
  std::vector<at::Tensor> z, weighted;
  for (const auto& text : piece.texts) {
    z.push_back(plain(text.chunks.at(0)));
    at::Tensor m = at::empty({77, 1});
    std::ranges::copy(text.chunks.at(0).weights, m.data_ptr<float>());
    weighted.push_back(z.back() * m);
  }
  const double factor =
      at::stack(z).mean(at::kDouble).item<double>() / at::stack(weighted).mean(at::kDouble).item<double>();
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(expect_close(encoded.texts[i].context, weighted[i] * factor, {.rel = 1e-6}));
}

// More texts than one pass of the encoder takes: the mean runs over all of them, as over a few.
TEST_F(ConditioningTest, ManyVariantsOfAnEditShareOneMean) {
  std::string text = "a (fox:1.4)";
  for (int step = 1; step < 40; ++step) text += fmt::format(" [a{0}:(b{0}:0.7):{0}]", step);
  const auto parsed = prompt::parse({.prompt = text, .steps = 60}, prompt::Tokenizer());
  const auto& piece = parsed.pieces.at(0);
  ASSERT_EQ(piece.texts.size(), 40u);
  const auto encoded = pipeline::encode_prompt(model->text_encoders, piece, {}, {});
  const std::size_t chunks = piece.chunk_count();
  for (std::size_t c = 0; c < chunks; ++c) {
    std::vector<at::Tensor> z, weighted;
    for (const auto& each : piece.texts) {
      z.push_back(plain(each.chunks.at(c)));
      at::Tensor m = at::empty({77, 1});
      std::ranges::copy(each.chunks.at(c).weights, m.data_ptr<float>());
      weighted.push_back(z.back() * m);
    }
    const double factor =
        at::stack(z).mean(at::kDouble).item<double>() / at::stack(weighted).mean(at::kDouble).item<double>();
    for (const std::size_t i : {std::size_t{0}, std::size_t{31}, std::size_t{32}, std::size_t{39}})
      EXPECT_TRUE(expect_close(encoded.texts[i].context.narrow(0, static_cast<std::int64_t>(77 * c), 77),
                               weighted[i] * factor, {.rel = 1e-5}));
  }
}

TEST_F(ConditioningTest, EncodingEndsWhenItIsToStop) {
  std::stop_source stop;
  stop.request_stop();
  const auto parsed = parse("a BREAK b BREAK c");
  try {
    pipeline::encode_prompt(model->text_encoders, parsed.pieces.at(0), {}, {}, stop.get_token());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kCancelled);
  }
}

// What a further piece adds is a row of the batch and its text.
TEST_F(ConditioningTest, MemoryOfAPromptGrowsWithWhatItAsksFor) {
  const auto memory = [&](const std::string& text, std::int64_t pictures = 1, std::int64_t cells = 64) {
    return pipeline::prompt_memory(parse(text), *model->network, {.pictures = pictures, .cells = cells});
  };
  const std::int64_t three = memory("a AND b AND c"), five = memory("a AND b AND c AND d AND e");
  EXPECT_GT(three, 0);
  EXPECT_GT(five, three);
  EXPECT_GT(memory("a AND b AND c", 4), 3 * three);
  EXPECT_GE(memory("a AND b", 1, 4096) - memory("a AND b", 1, 64),
            (4096 - 64) * model->network->model_channels() * 4);
  EXPECT_GT(memory("a BREAK b BREAK c BREAK d"), memory("a BREAK b"));
  EXPECT_LT(memory("a"), 1 << 20);
  // A short negative prompt stays short unless it is filled up.
  const std::string four = "a BREAK b BREAK c BREAK d";
  EXPECT_GT(pipeline::prompt_memory(parse(four), *model->network, {.pictures = 1, .cells = 64, .pads = true}),
            1.5 * static_cast<double>(memory(four)));
  EXPECT_NO_THROW(
      pipeline::check_prompt_memory(parse("a"), *model->network, {.pictures = 1, .cells = 4096}, {}));
  EXPECT_THROW(pipeline::check_prompt_memory(parse("a AND b AND c"), *model->network,
                                             {.pictures = 64, .cells = 65536}, {.memory_mb = 1}),
               Error);
}

TEST_F(ConditioningTest, AnEmbeddingReplacesTokenVectors) {
  // The embedding holds the token vectors of "red fox": the prompt must encode as if the words stood there.
  const at::Tensor table = model->text_encoders.front()->layers().at("embeddings.token_embedding")->weight();
  const auto ids = prompt::Tokenizer().encode("red fox");
  ASSERT_EQ(ids.size(), 2u);
  const pipeline::Embedding embedding{
      "mything",
      "mything.pt",
      {{formats::Component::kTextEncoder, at::stack({table[ids[0]], table[ids[1]]})}}};
  const auto parsed = parse("a mything, sitting", {{"mything", 2}});
  EXPECT_THAT(parsed.used_embeddings, ::testing::ElementsAre(0));
  const std::vector<pipeline::Embedding> embeddings = {embedding};
  const auto ours =
      pipeline::encode_prompt(model->text_encoders, parsed.pieces.at(0), embeddings, {}).texts.at(0).context;
  EXPECT_TRUE(expect_close(ours, encode("a red fox, sitting"), {.rel = 1e-6}));
}

TEST(Embeddings, FilesAreReadAndMisfitsNamed) {
  const fs::path folder = fs::temp_directory_path() / fs::path("lowrank-embeddings-test");
  fs::remove_all(folder);
  fs::create_directories(folder / "sub");
  tensor::save_state_dict(folder / "sub/good.safetensors", {{"emb_params", at::ones({3, 64})}});
  tensor::save_state_dict(folder / "pair.safetensors",
                          {{"clip_l", at::ones({2, 64})}, {"clip_g", at::ones({2, 128})}});
  tensor::save_state_dict(folder / "wide.safetensors", {{"emb_params", at::ones({3, 768})}});
  std::ofstream(folder / "broken.pt") << "nothing of the kind";
  const formats::TextWidths widths = {{formats::Component::kTextEncoder, 64}};
  const auto read = pipeline::read_embeddings(folder, widths);
  ASSERT_EQ(read.embeddings.size(), 1u);  // A1111 skips SDXL's pair on a model with one encoder
  EXPECT_EQ(read.embeddings[0].name, "good");
  EXPECT_EQ(read.embeddings[0].count(), 3);
  EXPECT_EQ(read.embeddings[0].short_hash().size(), 10u);
  EXPECT_EQ(read.skipped.size(), 3u);
  EXPECT_TRUE(pipeline::read_embeddings(folder / "none", widths).embeddings.empty());
  fs::remove_all(folder);
}

}  // namespace
}  // namespace lowrank
