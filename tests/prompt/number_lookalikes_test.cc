// What was meant as a number and is none. Which of these are weights and times: A1111's regular expressions, see
// attention_test.cc and schedule_test.cc; here, that the others are told.
#include "prompt/number_lookalikes.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "prompt/prompt.h"

namespace lowrank::prompt {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Tokenizer kTokenizer;

std::string refusal(const std::string& prompt, const std::string& negative = "") {
  try {
    parse({.prompt = prompt, .negative_prompt = negative}, kTokenizer);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadInput);
    return error.what();
  }
  return "";
}

TEST(NumberLookalikes, WeightsAndTimesThatAreNoneAreTold) {
  for (const char* number :
       {"1,5", "1e39", "1e2", "nan", "inf", "-Infinity", "1e400", "1.2.3", "1.2,", "80%", "+.5,5"}) {
    SCOPED_TRACE(number);
    EXPECT_THAT(number_warnings(fmt::format("a (fox:{}) runs", number)),
                ElementsAre(AllOf(HasSubstr(fmt::format("(fox:{})", number)), HasSubstr("weight"))));
    EXPECT_THAT(number_warnings(fmt::format("a fox AND a cat :{}", number)), ElementsAre(HasSubstr(number)));
  }
  for (const char* number : {"0,5", "nan", "1.2.3", "50%"})
    EXPECT_THAT(number_warnings(fmt::format("a [fox:cat: {} ]", number)),
                ElementsAre(AllOf(HasSubstr(number), HasSubstr("time"))));
  EXPECT_THAT(number_warnings("(a:1,5)"), ElementsAre(HasSubstr("such as 1.5")));
}

TEST(NumberLookalikes, WeightsTimesAndWordsAreNot) {
  for (const char* prompt :
       {"(fox:1.2), ((fox)), (fox:-1), (fox: +.5 )", "[fox:cat:0.5] [fox::1e1] [fox|cat]",
        "a fox AND a cat :0.5", "(nier:automata), (re:zero), (at 10:30pm)", "a 16:9 picture, 1:1,5", "(fox:)",
        "\\(fox:1,5\\)", "a:b AND c:d", "style: ink AND style: oil", "(infinity), (inf inity:eins)", "", ":",
        "(:)"})
    EXPECT_THAT(number_warnings(prompt), ElementsAre()) << prompt;
}

TEST(NumberLookalikes, WeightsBeyondAllSenseAreRefused) {
  const std::string nines(42, '9');
  EXPECT_THAT(refusal(fmt::format("(word:{})", nines)), AllOf(HasSubstr("'word'"), HasSubstr("1e+42")));
  EXPECT_THAT(refusal(fmt::format("(word:-{})", nines)), HasSubstr("'word'"));
  EXPECT_THAT(refusal("a", fmt::format("(word:{})", nines)), HasSubstr("'word'"));
  EXPECT_THAT(refusal("((((word:9999):9999):9999):9999)"), HasSubstr("brackets"));
  EXPECT_THAT(refusal(fmt::format("a AND b :{}", nines)), HasSubstr("'b'"));
  // As many brackets as may be open at once are right.
  EXPECT_EQ(refusal(std::string(250, '(') + "word" + std::string(250, ')')), "");
  EXPECT_EQ(refusal("(word:1000)"), "");
}

TEST(NumberLookalikes, ATagsWeightIsToldByItsOwnName) {
  const auto warning = [](const std::string& tag) {
    const auto warnings = parse_extra_networks(tag).warnings;
    return warnings.empty() ? std::string() : warnings.front();
  };
  EXPECT_THAT(warning("<lora:x:1,0>"),
              AllOf(HasSubstr("the weight '1,0'"), HasSubstr("a decimal point: 1.0")));
  EXPECT_THAT(warning("<lora:x:1:0,5>"),
              AllOf(HasSubstr("U-Net weight '0,5'"), HasSubstr("a decimal point: 0.5")));
  EXPECT_THAT(warning("<lora:x:te=1,5>"), HasSubstr("text-encoder weight '1,5'"));
  EXPECT_THAT(warning("<lora:x:>"), HasSubstr("the weight after the ':' is missing"));
  for (const char* number : {"nan", "inf", "1e400"})
    EXPECT_THAT(warning(fmt::format("<lora:x:{}>", number)),
                AllOf(HasSubstr("the weight"), testing::Not(HasSubstr("quotes"))));
  EXPECT_THAT(warning("<lora:x:part two:1>"), HasSubstr("<lora:\"x:part two\":1>"));
}

}  // namespace
}  // namespace lowrank::prompt
