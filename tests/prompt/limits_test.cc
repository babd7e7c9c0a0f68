#include "prompt/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "prompt/prompt.h"

namespace lowrank::prompt {
namespace {

// What parse() says; "" when it takes the prompt.
std::string refusal(const std::string& prompt, const PromptLimits& limits = {},
                    const std::string& negative = "") {
  static const Tokenizer tokenizer;
  try {
    parse({.prompt = prompt, .negative_prompt = negative, .settings = {.limits = limits}}, tokenizer);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadInput);
    return error.what();
  }
  return "";
}

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(PromptLimits, EachCountIsAllowedUpToItsLimitAndNoFurther) {
  EXPECT_EQ(refusal("a AND b AND c", {.pieces = 3}), "");
  EXPECT_THAT(refusal("a AND b AND c", {.pieces = 2}), testing::HasSubstr("3 parts between AND"));
  EXPECT_EQ(refusal("a<lora:x:1><lora:y:1>", {.tags = 2}), "");
  EXPECT_THAT(refusal("a<lora:x:1><lora:y:1>", {.tags = 1}), testing::HasSubstr("2 network tags"));
  EXPECT_EQ(refusal("a ((b) [c])", {.depth = 2}), "");
  EXPECT_THAT(refusal("a ((b [c]))", {.depth = 2}), testing::HasSubstr("3 levels of nested brackets"));
  EXPECT_THAT(refusal("a", {.depth = 2}, "((("), testing::HasSubstr("3 levels of nested brackets"));
  // Two chunks of the prompt and one of the negative prompt.
  EXPECT_EQ(refusal("a BREAK b", {.chunks = 3}), "");
  EXPECT_THAT(refusal("a BREAK b", {.chunks = 2}), testing::HasSubstr("3 chunks of 75 tokens"));
  // "cat" and "dog", and the negative prompt.
  EXPECT_EQ(refusal("[cat:dog:0.5]", {.texts = 3}), "");
  EXPECT_THAT(refusal("[cat:dog:0.5]", {.texts = 2}), testing::HasSubstr("3 distinct texts"));
}

TEST(PromptLimits, ShorterTextsCountAsLongAsTheLongest) {
  // Texts of 1 and 3 chunks are encoded as two of 3, the negative prompt is one.
  EXPECT_EQ(refusal("[a:b BREAK c BREAK d:0.5]", {.chunks = 7}), "");
  EXPECT_NE(refusal("[a:b BREAK c BREAK d:0.5]", {.chunks = 6}), "");
}

TEST(PromptLimits, EscapedBracketsAreWords) {
  EXPECT_EQ(bracket_depth("((a) [b])"), 2);
  EXPECT_EQ(bracket_depth(R"(\(\(\[ (a) \\(b))"), 1);
  EXPECT_EQ(bracket_depth(")))((("), 3);
  EXPECT_EQ(bracket_depth(""), 0);
}

TEST(PromptLimits, TheSentenceNamesNumberLimitAndRemedy) {
  const std::string said = refusal("a" + repeated(" AND b", 100));
  EXPECT_EQ(said,
            "the prompt has 101 parts between AND, more than the 64 allowed; shorten it, or raise the limit "
            "with --prompt-limits pieces=101.");
  // What no setting allows is not offered.
  EXPECT_THAT(refusal(repeated("(", 5000)), testing::Not(testing::HasSubstr("--prompt-limits")));
}

TEST(PromptLimits, AreReadByNameAndPrintedAsTheyAreRead) {
  const PromptLimits limits = parse_prompt_limits(" pieces=3, tags = 7,memory=0", "--x");
  EXPECT_EQ(limits.pieces, 3);
  EXPECT_EQ(limits.tags, 7);
  EXPECT_EQ(limits.chunks, PromptLimits().chunks);
  EXPECT_EQ(prompt_limits_text(parse_prompt_limits(prompt_limits_text(limits), "--x")),
            prompt_limits_text(limits));
  for (const char* wrong :
       {"parts=1", "pieces", "pieces=", "pieces=x", "pieces=-1", "pieces=1.5", "depth=1000000"}) {
    try {
      parse_prompt_limits(wrong, "--prompt-limits");
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("--prompt-limits: ")) << wrong;
    }
  }
}

}  // namespace
}  // namespace lowrank::prompt
