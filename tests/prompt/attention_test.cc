#include "prompt/grammar/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "prompt/fixtures.h"

namespace lowrank::prompt {
namespace {

struct Expected {
  std::string text;
  double weight;
};

void expect_pieces(const std::string& text, const std::vector<Expected>& expected) {
  const auto pieces = parse_attention(text);
  ASSERT_EQ(pieces.size(), expected.size()) << text;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].text, expected[i].text) << text << ", piece " << i;
    EXPECT_NEAR(pieces[i].weight, expected[i].weight, 1e-12 * std::abs(expected[i].weight))
        << text << ", piece " << i;
  }
}

TEST(Attention, EqualsReference) {
  const auto cases = read_fixture("prompt-attention.json")["cases"];
  ASSERT_GT(cases.size(), 150u);
  for (const auto& c : cases) {
    if (c.contains("error")) continue;
    std::vector<Expected> expected;
    for (const auto& piece : c["result"]) expected.push_back({piece[0], piece[1]});
    expect_pieces(c["text"], expected);
  }
}

// A1111 fails on these; here the closer is text followed by a plain bracket.
TEST(Attention, BadNumberIsText) {
  const auto cases = read_fixture("prompt-attention.json")["cases"];
  for (const auto& c : cases) {
    if (!c.contains("error")) continue;
    const std::string text = c["text"];
    ASSERT_EQ(text.front(), '(');
    expect_pieces(text, {{text.substr(1, text.size() - 2), 1.1}});
  }
  const std::string digits(400, '9');
  expect_pieces("(a:" + digits + ")", {{"a:" + digits, 1.1}});
}

TEST(Attention, BreakMarkerNeedsExactlyMinusOne) {
  EXPECT_TRUE(parse_attention("a BREAK b")[1].is_break());
  EXPECT_FALSE(parse_attention("(a BREAK b)")[1].is_break());
  EXPECT_FALSE((WeightedPiece{"BREAK", 1.0}).is_break());
}

TEST(Attention, BracketsBeyondTheLimitAreText) {
  const std::string deep = std::string(kMaxAttentionDepth + 2, '(') + "a";
  const auto pieces = parse_attention(deep);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].text, "((a");
}

TEST(Attention, HostileBracketsTakeLinearTimePerLevel) {
  for (const char* unit : {"(", "[", "(a", "[a:", "([", ")", "a:1.2)", "\\", "(a:1.1", ": "}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    EXPECT_FALSE(parse_attention(text).empty());
    EXPECT_FALSE(parse_attention(text + std::string(50'000, ')') + std::string(50'000, ']')).empty());
  }
}

}  // namespace
}  // namespace lowrank::prompt
