#include "prompt/prompt.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lowrank::prompt {
namespace {

const Tokenizer kTokenizer;

ParsedPrompt read(Request request) {
  return parse(request, kTokenizer);
}

TEST(Prompt, StagesFollowOneAnother) {
  const auto parsed = read(
      {.prompt = "a [cat:dog:0.5] AND (b:1.2) :0.7 <lora:x:0.5> # note", .negative_prompt = "bad AND worse"});
  EXPECT_EQ(parsed.prompt, "a [cat:dog:0.5] AND (b:1.2) :0.7 <lora:x:0.5>");
  ASSERT_EQ(parsed.networks.loras.size(), 1u);
  ASSERT_EQ(parsed.composition.size(), 2u);
  EXPECT_EQ(parsed.composition[1].weight, 0.7);
  const Conditioning& first = parsed.pieces[0];
  EXPECT_EQ(first.texts[first.text_for_call(0)].text, "a cat");
  EXPECT_EQ(first.texts[first.text_for_call(10)].text, "a cat");
  EXPECT_EQ(first.texts[first.text_for_call(11)].text, "a dog");
  EXPECT_EQ(parsed.pieces[1].texts[0].pieces[1].weight, 1.2);
  EXPECT_EQ(parsed.negative.texts[0].text, "bad AND worse");  // never split
  EXPECT_TRUE(parsed.uses_emphasis);
  EXPECT_TRUE(parsed.warnings.empty());
}

TEST(Prompt, TagsInBracketsAreCutFirst) {
  const auto parsed = read({.prompt = "[<lora:x:1>:5]"});
  EXPECT_EQ(parsed.pieces[0].schedule.size(), 2u);
  EXPECT_EQ(parsed.pieces[0].texts.size(), 1u);
  EXPECT_EQ(parsed.pieces[0].texts[0].text, "");
}

TEST(Prompt, SecondOrderSamplersCountTwice) {
  const auto parsed = read({.prompt = "[a:b:0.5]", .steps = 10, .second_order = true});
  EXPECT_EQ(parsed.pieces[0].schedule[0].end_at_step, 10);
  EXPECT_EQ(parsed.pieces[0].schedule[1].end_at_step, 20);
}

TEST(Prompt, HiresPassGoesOnCounting) {
  const auto parsed = read({.prompt = "[a:b:15]", .steps = 10, .hires_steps = 20});
  EXPECT_EQ(parsed.pieces[0].schedule[0].end_at_step, 5);
}

TEST(Prompt, TextsOfOnePieceHaveEqualChunkCounts) {
  const auto parsed = read({.prompt = "[a: b BREAK c:0.5]"});
  ASSERT_EQ(parsed.pieces[0].texts.size(), 2u);
  EXPECT_EQ(parsed.pieces[0].chunk_count(), 2u);
  EXPECT_EQ(parsed.pieces[0].texts[0].chunks.size(), 2u);
  EXPECT_EQ(parsed.pieces[0].texts[0].chunks[1].ids, empty_chunk().ids);
  EXPECT_EQ(parsed.pieces[0].texts[0].token_count, 1);
}

TEST(Prompt, EqualPiecesShareOneEncoding) {
  const auto parsed = read({.prompt = "a AND b AND b:0.5"});
  EXPECT_EQ(parsed.pieces.size(), 2u);
  EXPECT_EQ(parsed.composition[2].piece, parsed.composition[1].piece);
}

TEST(Prompt, EmphasisModes) {
  const auto ignored = read({.prompt = "(cat:1.5)", .settings = {.emphasis = Emphasis::kIgnore}});
  EXPECT_EQ(ignored.pieces[0].texts[0].token_count, 1);
  EXPECT_EQ(ignored.pieces[0].texts[0].chunks[0].weights[1], 1.0f);
  const auto none = read({.prompt = "(cat:1.5) BREAK", .settings = {.emphasis = Emphasis::kNone}});
  EXPECT_GT(none.pieces[0].texts[0].token_count, 5);
  EXPECT_EQ(none.pieces[0].texts[0].pieces.size(), 1u);
  for (const auto emphasis : {Emphasis::kOriginal, Emphasis::kNoNorm, Emphasis::kIgnore, Emphasis::kNone}) {
    EXPECT_EQ(emphasis_from_label(label(emphasis)), emphasis);
  }
  EXPECT_FALSE(emphasis_from_label("original"));
}

TEST(Prompt, WarnsOfWhatHasNoEffect) {
  EXPECT_EQ(read({.prompt = "(a BREAK b)"}).warnings.size(), 1u);
  EXPECT_EQ(read({.prompt = "a", .negative_prompt = "b <lora:x:1>"}).warnings.size(), 1u);
  EXPECT_EQ(read({.prompt = "<lora:x:abc>"}).warnings.size(), 1u);
}

TEST(Prompt, ListsUsedEmbeddings) {
  const auto parsed = read({.prompt = "emb2",
                            .negative_prompt = "emb1 emb2",
                            .settings = {.embeddings = {{"emb1", 1}, {"emb2", 2}}}});
  EXPECT_EQ(parsed.used_embeddings, (std::vector<std::size_t>{1, 0}));
}

TEST(Prompt, NamesEmbeddingsThatCannotBeUsedWhereATextNamesThem) {
  const Tokenizer tokenizer;
  Request request{.prompt = "a BadHand, (x:1.2)", .negative_prompt = "easyneg"};
  request.settings.unusable = {
      {"badhand", "it is a web page."}, {"easyneg", "too wide."}, {"other", "broken."}};
  const auto parsed = parse(request, tokenizer);
  ASSERT_EQ(parsed.warnings.size(), 2u);
  EXPECT_NE(parsed.warnings[0].find("'badhand' cannot be used"), std::string::npos);
  EXPECT_NE(parsed.warnings[0].find("web page"), std::string::npos);
  EXPECT_NE(parsed.warnings[1].find("too wide"), std::string::npos);
}

// A chunk has 76 rows behind its start token.
TEST(Prompt, SaysThatAnEmbeddingIsCut) {
  const auto warnings = [](int vectors) {
    return read({.prompt = "a emb", .settings = {.embeddings = {{"emb", vectors}}}}).warnings;
  };
  EXPECT_TRUE(warnings(75).empty());
  EXPECT_TRUE(warnings(76).empty());
  ASSERT_EQ(warnings(77).size(), 1u);
  EXPECT_NE(warnings(77)[0].find("'emb' has 77 vectors, but a prompt can hold 76"), std::string::npos);
}

TEST(Prompt, RefusesWhatCannotBe) {
  EXPECT_THROW(read({.prompt = "a", .steps = 0}), Error);
  EXPECT_THROW(read({.prompt = "a", .hires_steps = 0}), Error);
  EXPECT_THROW(read({.prompt = std::string(kMaxPromptBytes + 1, 'a')}), Error);
  EXPECT_NO_THROW(read({.prompt = std::string("a\0b\xff", 4)}));
}

// Beyond all limits.
constexpr PromptLimits kAnyWork{
    .tags = 1 << 30, .depth = 1 << 30, .pieces = 1 << 30, .texts = 1 << 30, .chunks = 1 << 30};

TEST(Prompt, HostilePromptsEnd) {
  for (const std::string unit : {"(", "[", "[a|b]", "[a:b:3]", "(a:1.1)", "AND ", "BREAK ", "<lora:x:1>",
                                 "<a:b>", "(BREAK ", "猫", "a,", "&amp;", "\\", "#\n", "emb "}) {
    Request request{.steps = 20, .settings = {.embeddings = {{"emb", 40}}, .limits = kAnyWork}};
    while (request.prompt.size() + unit.size() <= 100'000) request.prompt += unit;
    try {
      EXPECT_FALSE(read(request).pieces.empty()) << unit;
    } catch (const Error& error) {  // 1.1¹⁰⁰⁰
      EXPECT_NE(std::string(error.what()).find("the weight"), std::string::npos) << unit;
      EXPECT_TRUE(unit.starts_with('(')) << unit;
    }
  }
  std::string tag = "<lora:x";
  for (int i = 0; i < 20'000; ++i) tag += ":n" + std::to_string(i) + "=1";
  EXPECT_EQ(read({.prompt = tag + ">"}).warnings.size(), 1u);
}

}  // namespace
}  // namespace lowrank::prompt
