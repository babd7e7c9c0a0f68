#include "prompt/tokens/chunks.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lowrank::prompt {
namespace {

const Tokenizer kTokenizer;

// `count` one-token words.
std::string words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "cat ";
  return text;
}

int cat() {
  return kTokenizer.encode("cat").at(0);
}

ChunkedText chunk(const std::string& text, const ChunkOptions& options = {}) {
  return chunk_pieces(parse_attention(text), kTokenizer, options);
}

std::vector<int> used(const ChunkedText& text) {
  std::vector<int> counts;
  for (const TokenChunk& chunk : text.chunks) counts.push_back(chunk.used);
  return counts;
}

TEST(Chunks, StartEndAndPadding) {
  const auto text = chunk("(cat:1.5) dog");
  ASSERT_EQ(text.chunks.size(), 1u);
  const TokenChunk& only = text.chunks[0];
  EXPECT_EQ(only.ids[0], Tokenizer::kStart);
  EXPECT_EQ(only.ids[1], cat());
  EXPECT_EQ(only.weights[1], 1.5f);
  EXPECT_EQ(only.weights[2], 1.0f);
  EXPECT_EQ(std::count(only.ids.begin() + 3, only.ids.end(), Tokenizer::kEnd), 74);
  EXPECT_EQ(text.token_count, 2);
}

TEST(Chunks, EmptyPromptIsOneEmptyChunk) {
  const auto text = chunk("");
  ASSERT_EQ(text.chunks.size(), 1u);
  EXPECT_EQ(text.chunks[0].ids, empty_chunk().ids);
  EXPECT_EQ(text.token_count, 0);
}

TEST(Chunks, SeventyFiveFitTheNextOneDoesNot) {
  EXPECT_EQ(used(chunk(words(75))), (std::vector<int>{75}));
  EXPECT_EQ(used(chunk(words(76))), (std::vector<int>{75, 1}));
  EXPECT_EQ(chunk(words(76)).token_count, 76);
}

// The examples of the specification.
TEST(Chunks, CutsGoBackToANearComma) {
  EXPECT_EQ(used(chunk(words(74) + "," + words(10))), (std::vector<int>{75, 10}));
  EXPECT_EQ(used(chunk(words(60) + "," + words(20))), (std::vector<int>{61, 20}));
  EXPECT_EQ(used(chunk(words(55) + "," + words(30))), (std::vector<int>{56, 30}));  // 75 − 55 = 20
  EXPECT_EQ(used(chunk(words(54) + "," + words(30))), (std::vector<int>{75, 10}));  // 75 − 54 = 21
}

TEST(Chunks, CommaAsTheSeventySixthTokenBeginsTheNextChunk) {
  const auto text = chunk(words(70) + "," + words(4) + "," + words(3));
  EXPECT_EQ(used(text), (std::vector<int>{75, 4}));
  EXPECT_EQ(text.chunks[1].ids[1], Tokenizer::kComma);
}

TEST(Chunks, BacktrackOffSplitsHard) {
  EXPECT_EQ(used(chunk(words(60) + "," + words(20), {.comma_backtrack = 0})), (std::vector<int>{75, 6}));
}

TEST(Chunks, WeightsAreCarriedOverTheCut) {
  const auto text = chunk(words(60) + ", (" + words(20) + ":1.25)");
  ASSERT_EQ(used(text), (std::vector<int>{61, 20}));
  EXPECT_EQ(text.chunks[0].weights[62], 1.0f);
  for (std::size_t i = 1; i <= 20; ++i) EXPECT_EQ(text.chunks[1].weights[i], 1.25f) << i;
}

TEST(Chunks, BreakClosesEvenAnEmptyChunk) {
  EXPECT_EQ(used(chunk("cat BREAK cat cat")), (std::vector<int>{1, 2}));
  EXPECT_EQ(used(chunk("cat BREAK BREAK cat")), (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(used(chunk("cat BREAK")), (std::vector<int>{1}));
  EXPECT_EQ(used(chunk("BREAK")), (std::vector<int>{0}));
  EXPECT_EQ(chunk("cat BREAK cat cat").token_count, 77);
}

TEST(Chunks, WeightedBreakIsAWord) {
  const auto text = chunk("(cat BREAK cat)");
  ASSERT_EQ(used(text), (std::vector<int>{3}));
  EXPECT_EQ(text.chunks[0].weights[2], -1.1f);
}

TEST(Chunks, PiecesAreTokenisedOnTheirOwn) {
  auto ids = kTokenizer.encode("un");
  const auto rest = kTokenizer.encode("believable");
  ids.insert(ids.end(), rest.begin(), rest.end());
  const auto text = chunk("(un)believable");
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), text.chunks[0].ids.begin() + 1));
}

class Embeddings : public testing::Test {
 protected:
  ChunkedText chunk(const std::string& text, std::vector<EmbeddingName> names) {
    table_ = EmbeddingTable(names, kTokenizer);
    return chunk_pieces(parse_attention(text), kTokenizer, {.embeddings = &table_});
  }
  EmbeddingTable table_;
};

TEST_F(Embeddings, TakeTheirVectorsRowsWithThePieceWeight) {
  const auto text = chunk("cat (EasyNegative:1.2) cat", {{"easynegative", 8}});
  ASSERT_EQ(used(text), (std::vector<int>{10}));
  ASSERT_EQ(text.chunks[0].embeddings.size(), 1u);
  EXPECT_EQ(text.chunks[0].embeddings[0].first_row, 2);
  EXPECT_EQ(text.chunks[0].embeddings[0].vectors, 8);
  for (std::size_t i = 2; i < 10; ++i) {
    EXPECT_EQ(text.chunks[0].ids[i], 0);
    EXPECT_EQ(text.chunks[0].weights[i], 1.2f);
  }
  EXPECT_EQ(text.chunks[0].ids[10], cat());
}

TEST_F(Embeddings, LongestNameWins) {
  const auto text = chunk("cat cat cat", {{"cat", 1}, {"cat cat", 2}});
  ASSERT_EQ(text.chunks[0].embeddings.size(), 2u);
  EXPECT_EQ(text.chunks[0].embeddings[0].embedding, 1u);
  EXPECT_EQ(text.chunks[0].embeddings[1].embedding, 0u);
}

TEST_F(Embeddings, NameSplitOverPiecesDoesNotMatch) {
  EXPECT_TRUE(chunk("cat (dog)", {{"cat dog", 2}}).chunks[0].embeddings.empty());
  EXPECT_FALSE(chunk("cat dog", {{"cat dog", 2}}).chunks[0].embeddings.empty());
}

TEST_F(Embeddings, WhatDoesNotFitBeginsANewChunk) {
  const auto text = chunk(words(70) + "emb", {{"emb", 6}});
  EXPECT_EQ(used(text), (std::vector<int>{70, 6}));
  EXPECT_EQ(text.chunks[1].embeddings.at(0).first_row, 1);
  EXPECT_EQ(used(chunk(words(69) + "emb", {{"emb", 6}})), (std::vector<int>{75}));
}

TEST_F(Embeddings, BehindAWrapTheyMoveAlong) {
  const auto text = chunk(words(60) + ", emb " + words(14), {{"emb", 4}});
  ASSERT_EQ(used(text), (std::vector<int>{61, 18}));
  EXPECT_TRUE(text.chunks[0].embeddings.empty());
  EXPECT_EQ(text.chunks[1].embeddings.at(0).first_row, 1);
}

TEST_F(Embeddings, VeryLongOnesAreCutToTheRowsBehindTheStart) {
  const auto text = chunk("cat emb cat", {{"emb", 200}});
  EXPECT_EQ(used(text), (std::vector<int>{1, 75, 1}));
  EXPECT_EQ(text.chunks[1].embeddings.at(0).first_row, 1);
  EXPECT_EQ(text.chunks[1].embeddings.at(0).vectors, 76);
}

}  // namespace
}  // namespace lowrank::prompt
