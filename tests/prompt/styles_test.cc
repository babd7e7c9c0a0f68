#include "prompt/styles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace lowrank::prompt {
namespace {

StyledPrompts apply(std::string_view prompt, std::vector<Style> styles) {
  std::vector<std::string> names;
  for (const Style& style : styles) names.push_back(style.name);
  return apply_styles(prompt, "", styles, names);
}

TEST(Comments, TableOfTheSpecification) {
  EXPECT_EQ(strip_comments("a # note"), "a \n");
  EXPECT_EQ(strip_comments("a\n# note\nb"), "a\nb");
  EXPECT_EQ(strip_comments("a # x\nb"), "a \nb");
  EXPECT_EQ(strip_comments("# x\nb"), "\nb");
  EXPECT_EQ(strip_comments("a\n# x\n# y\nb"),
            "a\n\nb");  // the first comment took the newline the second would need
  EXPECT_EQ(apply_styles("a # note", "", {}, {}).prompt, "a");
  EXPECT_EQ(apply_styles(" a # note", "#b", {}, {}, Comments::kKeep).prompt, "a # note");
}

TEST(Comments, BeginNotInsideANetworkTag) {
  EXPECT_EQ(strip_comments("<lora:x#2:1>, a # note"), "<lora:x#2:1>, a \n");
  EXPECT_EQ(strip_comments("a <lora:#1/fox:0.8> b"), "a <lora:#1/fox:0.8> b");
  EXPECT_EQ(strip_comments("<b:c#d>"), "<b:c\n");  // no network
  EXPECT_EQ(strip_comments("<lora:x#2\n:1>"), "<lora:x\n:1>");
  EXPECT_EQ(strip_comments("# <lora:x#2:1>\na"), "\na");
}

TEST(Comments, OneThatTakesATagWithItIsNamed) {
  EXPECT_EQ(apply_styles("#1 fox <lora:x:1>", "", {}, {}).warnings.size(), 1u);
  EXPECT_EQ(apply_styles("a fox # soft <lora:x:1>\nb", "", {}, {}).warnings.size(), 1u);
  EXPECT_EQ(apply_styles("a fox # soft", "bad # x", {}, {}).warnings.size(), 0u);
  EXPECT_EQ(apply_styles("a # <lora:x:1>", "", {}, {}, Comments::kKeep).warnings.size(), 0u);
  EXPECT_EQ(apply("cat", {{"s", "x # <lora:y:1>", ""}}).prompt, "cat, x");
  EXPECT_EQ(apply("cat", {{"s", "x # <lora:y:1>", ""}}).warnings.size(), 1u);
}

TEST(Comments, HostileTextsTakeLinearTime) {
  for (const char* unit : {"<lora:", "<lora:\"", "#<lora:x>", "<lora:x#"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    EXPECT_LE(strip_comments(text).size(), text.size());
  }
}

TEST(Styles, PlaceholderOrAppended) {
  EXPECT_EQ(apply("cat", {{"s", "masterpiece, {prompt}, 8k", ""}}).prompt, "masterpiece, cat, 8k");
  EXPECT_EQ(apply("cat", {{"s", "best quality", ""}}).prompt, "cat, best quality");
  EXPECT_EQ(apply("", {{"s", "best quality", ""}}).prompt, "best quality");
  EXPECT_EQ(apply("cat", {{"s", "{prompt} and {prompt}", ""}}).prompt, "cat and cat");
  EXPECT_EQ(apply("cat", {{"s", "", ""}}).prompt, "cat");
  EXPECT_EQ(apply("cat", {{"a", "x # note", ""}, {"b", "<{prompt}>", ""}}).prompt, "<cat, x>");
}

TEST(Styles, NegativeTextsAndUnknownNames) {
  const std::vector<Style> styles = {{"a", "p", "n, {prompt}"}};
  const std::vector<std::string> names = {"a", "missing"};
  const auto styled = apply_styles("cat", "bad", styles, names);
  EXPECT_EQ(styled.negative_prompt, "n, bad");
  EXPECT_EQ(styled.unknown, std::vector<std::string>{"missing"});
}

TEST(Styles, GrowthIsBounded) {
  const std::vector<Style> styles = {{"double", "{prompt}{prompt}", ""}};
  const std::vector<std::string> names(60, "double");
  EXPECT_THROW(apply_styles("cat", "", styles, names), Error);
}

TEST(StylesFile, QuotesBomBlanksAndComments) {
  const auto styles = parse_styles(
      "\xef\xbb\xbfname,prompt,negative_prompt\r\n"
      "one, \"a, \"\"b\"\"\nc\", bad\r\n"
      "#two,x,y\n"
      "\n"
      "three,only\n",
      "styles.csv");
  ASSERT_EQ(styles.size(), 2u);
  EXPECT_EQ(styles[0].name, "one");
  EXPECT_EQ(styles[0].prompt, "a, \"b\"\nc");
  EXPECT_EQ(styles[0].negative_prompt, "bad");
  EXPECT_EQ(styles[1].prompt, "only");
  EXPECT_EQ(styles[1].negative_prompt, "");
}

TEST(StylesFile, OtherEncodingsAreReadByTheirMarkOrRefused) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "styles_encoding.csv";
  const auto write = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; };
  std::string wide = "\xff\xfe";
  for (const char c : std::string("name,prompt,negative_prompt\nA,fox \xe9,\n")) {
    wide += c;
    wide += '\0';
  }
  write(wide);
  ASSERT_EQ(read_styles(path).size(), 1u);
  EXPECT_EQ(read_styles(path)[0].prompt, "fox é");
  write("name,prompt,negative_prompt\nA,caf\xe9,\n");
  try {
    read_styles(path);
    FAIL() << "was read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("styles_encoding.csv: byte 34 (0xe9)"));
  }
  std::filesystem::remove(path);
}

TEST(StylesFile, OldHeader) {
  const auto styles = parse_styles("name,text\na,b", "styles.csv");
  ASSERT_EQ(styles.size(), 1u);
  EXPECT_EQ(styles[0].prompt, "b");
}

TEST(StylesFile, BadFilesAreNamed) {
  EXPECT_TRUE(parse_styles("", "styles.csv").empty());
  EXPECT_TRUE(read_styles("does/not/exist.csv").empty());
  for (const char* text : {"title,prompt\na,b", "name,prompt\na,\"b"}) {
    try {
      parse_styles(text, "my/styles.csv");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadInput);
      EXPECT_NE(std::string(error.what()).find("my/styles.csv"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace lowrank::prompt
