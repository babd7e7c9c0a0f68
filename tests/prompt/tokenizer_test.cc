#include "prompt/tokens/tokenizer.h"

#include <gtest/gtest.h>

#include "base/text/text.h"
#include "prompt/fixtures.h"
#include "prompt/tokens/clean_text.h"
#include "prompt/tokens/html_entities.h"

namespace lowrank::prompt {
namespace {

TEST(Tokenizer, EqualsReference) {
  const Tokenizer tokenizer;
  const auto cases = read_fixture("clip-tokens.json");
  ASSERT_GT(cases.size(), 30u);
  for (const auto& c : cases) {
    // The reference of these ids has no cleaning but the decoding of entities.
    const std::string text = decode_html_entities(decode_html_entities(c["text"].get<std::string>()));
    EXPECT_EQ(tokenizer.encode_clean(text), c["ids"].get<std::vector<int>>()) << c["text"];
  }
}

TEST(Tokenizer, CleansAsTheWebUisTokenizerDoes) {
  const Tokenizer tokenizer;
  const auto cases = read_fixture("clip-clean-tokens.json");
  ASSERT_GT(cases.size(), 130u);
  for (const auto& c : cases) {
    EXPECT_EQ(tokenizer.encode(c["text"].get<std::string>()), c["ids"].get<std::vector<int>>()) << c["text"];
  }
}

// Each disguise hides the next: one layer more than a walk undoes. The time stays that of some walks.
TEST(Tokenizer, NestedEntitiesAreCleanedInBoundedTime) {
  std::string nested = "＆", entities = "&";
  while (nested.size() < 200'000) nested += "#65286;";
  while (entities.size() < 200'000) entities += "amp;";
  EXPECT_EQ(clean_text(entities + "lt;"), "<");
  EXPECT_LT(clean_text(nested).size(), nested.size());
  EXPECT_EQ(clean_text("＆ａｍｐ；ｌｔ；"), "<");
}

// The texts of a prompt's tokens, put together, are its words: each word ends with a blank.
TEST(Tokenizer, TokenTextsSpellTheText) {
  const Tokenizer tokenizer;
  for (const std::string text : {"a photo of a cat ", "naïve 日本語 ", "masterpiece , best quality "}) {
    std::string spelled;
    for (const int id : tokenizer.encode(text)) spelled += tokenizer.token_text(id);
    EXPECT_EQ(spelled, text);
  }
}

// Every token's text, read as bytes, is distinct from the others', so ids and texts stand one to one.
TEST(Tokenizer, TextsOfAllTokensAreDistinct) {
  const Tokenizer tokenizer;
  std::set<std::string> texts;
  for (int id = 0; id < Tokenizer::kSize; ++id) texts.insert(tokenizer.token_text(id));
  EXPECT_EQ(texts.size(), static_cast<std::size_t>(Tokenizer::kSize));
  EXPECT_EQ(tokenizer.token_text(Tokenizer::kComma), ", ");
  EXPECT_EQ(tokenizer.token_text(-1), "");
  EXPECT_EQ(tokenizer.token_text(Tokenizer::kSize), "");
}

TEST(Tokenizer, IllFormedUtf8IsAReplacementCharacter) {
  const Tokenizer tokenizer;
  EXPECT_EQ(tokenizer.encode("a\xff b"), tokenizer.encode("a\uFFFD b"));
  EXPECT_EQ(tokenizer.encode("\xe6\x97"), tokenizer.encode("\uFFFD\uFFFD"));
}

TEST(Tokenizer, LongWordsStayFast) {
  const Tokenizer tokenizer;
  for (const std::string unit : {"a", "ab", "!", "日", "1"}) {
    std::string word;
    while (word.size() < 200'000) word += unit;
    EXPECT_FALSE(tokenizer.encode(word).empty());
  }
}

TEST(HtmlEntities, EqualPythonsHtmlUnescape) {
  EXPECT_EQ(decode_html_entities("&amp;&AMP &lt;&#65;&#x41;&#X41 &eacute;"), "&& <AAA é");
  EXPECT_EQ(decode_html_entities("&notit; &notin; &not;"), "¬it; ∉ ¬");
  EXPECT_EQ(decode_html_entities("&acE; &NewLine;|&unknown; & &; &#; &#x;"), "∾̳ \n|&unknown; & &; &#; &#x;");
  EXPECT_EQ(decode_html_entities("&#0;&#x80;&#xd800;&#x110000;&#99999999999;"), "\uFFFD€\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decode_html_entities("[&#1;&#xb;&#xfffe;]"), "[]");
  EXPECT_EQ(decode_html_entities("&apos;&apos"), "'&apos");
}

TEST(Text, LowersAsPythonDoes) {
  EXPECT_EQ(lower("ÀÉÎÕÜ ẞ İ Σ ΑΣ ΑΣ. ΑΣΑ ДЖ ǅ Ა Ꭰ"),
            "àéîõü ß i̇ σ ας ας. ασα дж ǆ ა ꭰ");
}

TEST(Text, NumbersAsPythonReadsThem) {
  EXPECT_EQ(parse_number(" 1_0 "), 10.0);
  EXPECT_EQ(parse_number("١.٢"), 1.2);
  EXPECT_EQ(parse_number("+.5e1"), 5.0);
  EXPECT_EQ(parse_number("1e-999"), 0.0);
  for (const char* text :
       {"", " ", "nan", "inf", "-inf", "1e999", "0x10", "1__0", "_1", "1_", "+-1", "1 2", "1,5", "."}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
  EXPECT_EQ(parse_integer(" +4 "), 4);
  for (const char* text : {"4.0", "", "99999999999", "a"}) EXPECT_FALSE(parse_integer(text)) << text;
}

}  // namespace
}  // namespace lowrank::prompt
