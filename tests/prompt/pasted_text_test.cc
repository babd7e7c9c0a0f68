// A pasted text says what it said before it was quoted, listed or escaped.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "prompt/generators/generators.h"

namespace lowrank::prompt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

constexpr const char* kPlain =
    "a red fox, (fluffy:1.2) <lora:fox:0.8>\nNegative prompt: blurry, bad\nSteps: 20, Sampler: Euler a, CFG "
    "scale: 7.5, "
    "Seed: 5, Size: 64x96, Lora hashes: \"fox: 0123456789ab, hat: 0123\"";

void expect_plain(const std::string& text) {
  SCOPED_TRACE(text);
  const Infotext found = settings_of_text(text).infotext, plain = settings_of_text(kPlain).infotext;
  EXPECT_EQ(found.prompt, plain.prompt);
  EXPECT_EQ(found.negative_prompt, plain.negative_prompt);
  EXPECT_THAT(found.entries, UnorderedElementsAreArray(plain.entries));
}

TEST(PastedText, SaysWhatItSaidBefore) {
  const std::string words = "a red fox, (fluffy:1.2) <lora:fox:0.8>";
  const std::string hashes = "Lora hashes: \"fox: 0123456789ab, hat: 0123\"";
  for (
      const std::string& text : {
          fmt::format("```\n{}\n```", kPlain),
          fmt::format("```text\n{}\n```\n", kPlain),
          fmt::format("~~~\n{}\n~~~", kPlain),
          fmt::format(
              "> {}\n> Negative prompt: blurry, bad\n> Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 5, "
              "Size: 64x96, {}",
              words, hashes),
          fmt::format(
              "**{}**\n**Negative prompt:** blurry, bad\n**Steps:** 20\n**Sampler:** Euler a\n**CFG scale**: "
              "7.5\n**Seed:** 5\n**Size:** 64x96\n**Lora hashes:** \"fox: 0123456789ab, hat: 0123\"",
              words),
          fmt::format(
              "{}\nNegative prompt: blurry, bad\n- Steps: 20\n- Sampler: Euler a\n- CFG scale: 7.5\n- Seed: "
              "5\n- Size: 64x96\n- {}",
              words, hashes),
          fmt::format("{}\n* **Negative prompt**: blurry, bad\n* **Steps**: 20\n* Sampler: Euler a\n* CFG "
                      "scale: 7.5\n* "
                      "Seed: 5\n* Size: 64x96\n* {}",
                      words, hashes),
          fmt::format("{}\nNegative prompt: blurry, bad\n1. Steps: 20\n2. Sampler: Euler a\n3. CFG scale: "
                      "7.5\n4. Seed: "
                      "5\n5. Size: 64x96\n6. {}",
                      words, hashes),
          fmt::format("{}\nNegative prompt: blurry, bad\n| Steps | 20 |\n| Sampler | Euler a |\n| CFG scale "
                      "| 7.5 |\n| "
                      "Seed | 5 |\n| Size | 64x96 |\n| Lora hashes | \"fox: 0123456789ab, hat: 0123\" |",
                      words),
          std::string(
              "a red fox, (fluffy:1.2) &lt;lora:fox:0.8&gt;\nNegative prompt: blurry, bad\nSteps: 20, "
              "Sampler: "
              "Euler a, CFG scale: 7.5, Seed: 5, Size: 64x96, Lora hashes: &quot;fox: 0123456789ab, hat: "
              "0123&quot;"),
          fmt::format("{}<br>Negative prompt: blurry, bad<br/>\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, "
                      "Seed: 5, "
                      "Size: 64x96, {}",
                      words, hashes),
          std::string(
              "a red fox, (fluffy:1.2) \\<lora:fox:0.8\\>\nNegative prompt: blurry, bad\nSteps: 20, Sampler: "
              "Euler a, CFG scale: 7.5, Seed: 5, Size: 64x96, Lora hashes: \"fox: 0123456789ab, hat: 0123\""),
          fmt::format("parameters\n{}", kPlain),
          nlohmann::json(kPlain).dump(),
          fmt::format("{}\\nNegative prompt: blurry, bad\\nSteps: 20, Sampler: Euler a, CFG scale:\u200b "
                      "7.5, Seed: 5, Size: "
                      "64x96, {}",
                      words, hashes),
          fmt::format("{}\nNegative prompt：blurry, bad\nSteps：20，Sampler：Euler a，CFG "
                      "scale：7.5，Seed：5，Size：64×96，"
                      "Lora hashes：“fox: 0123456789ab, hat: 0123”",
                      words),
          fmt::format(
              "{}\nNegative prompt: blurry, bad\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 5, Size: "
              "64x96, Lora hashes: “fox: 0123456789ab, hat: 0123”",
              words),
          fmt::format("Prompt: {}\nNEGATIVE PROMPT: blurry, bad\nsteps: 20, sampler: Euler a, cfg scale: "
                      "7.5, seed: 5, "
                      "size: 64x96, {}",
                      words, hashes),
          fmt::format(
              "{}\r\nNegative prompt: blurry, bad\r\nSteps: 20, Sampler: Euler a, CFG scale: 7,5, Seed: 5, "
              "Size: 64 × 96 px, {}\r\n",
              words, hashes),
          fmt::format(
              "{}\nNegative prompt: blurry, bad\nSteps: 20, Sampler: Euler a, CFG: 7.5, Seed: 5, Width: 64, "
              "Height: 96, {}",
              words, hashes),
      })
    expect_plain(text);
}

// A prompt of its own is no wrapping.
TEST(PastedText, WordsStayAsTheyWereWritten) {
  for (const char* prompt : {"**a fox**, &lt;3, \\<b\\>", "> a fox", "- a fox\n- a cat", "a `fox`, Prompt: x",
                             "“a fox”，a cat", "Prompt: a fox", "a fox<br>a cat"}) {
    const auto settings = settings_of_text(prompt);
    EXPECT_EQ(settings.infotext.prompt, prompt);
    EXPECT_THAT(settings.infotext.entries, IsEmpty());
  }
  // Words of a text with settings keep their own signs.
  const auto settings =
      settings_of_text("**bold** art, a：b，c, \\(x\\)\nSteps: 20, Sampler: Euler a, Seed: 5");
  EXPECT_EQ(settings.infotext.prompt, "**bold** art, a：b，c, \\(x\\)");
}

TEST(PastedText, SizesInOtherSpellings) {
  for (const char* size :
       {"64x96", "64 x 96", "64X96", "64 × 96", "64*96", "64x96 px", "64px x 96px", "64 × 96 pixels"}) {
    const auto settings = settings_of_text(fmt::format("a\nSteps: 20, Seed: 5, Size: {}, Model: m", size));
    ASSERT_NE(settings.infotext.find("Size-1"), nullptr) << size;
    EXPECT_EQ(*settings.infotext.find("Size-1"), "64") << size;
    EXPECT_EQ(*settings.infotext.find("Size-2"), "96") << size;
  }
  const auto settings = settings_of_text("a\nSteps: 20, Seed: 5, Size: wide, Model: m");
  EXPECT_THAT(settings.notes, Contains(HasSubstr("'wide'")));
}

TEST(PastedText, NumbersWithCommas) {
  const auto value = [](const std::string& line, const char* label) {
    const auto settings = settings_of_text("a\n" + line);
    const std::string* found = settings.infotext.find(label);
    return found == nullptr ? std::string() : *found;
  };
  EXPECT_EQ(value("Steps: 20, CFG scale: 7,5, Seed: 5", "CFG scale"), "7.5");
  EXPECT_EQ(value("Steps: 20, Seed: 5, CFG scale: 7,5", "CFG scale"), "7.5");
  EXPECT_EQ(value("Steps: 20, Seed: 1,234,567,890, CFG scale: 7", "Seed"), "1234567890");
  EXPECT_EQ(value("Steps: 20, Seed: 123,CFG scale: 7,Model: m", "Seed"), "123");
  EXPECT_EQ(value("Steps: 20, CFG scale: 7,Seed: 5,Model: m", "CFG scale"), "7");
}

TEST(PastedText, SeedsThatCannotBeDrawnWithAreTold) {
  for (const char* seed :
       {"1234567890123456789012", "18446744073709551615", "9200000000000000001", "lucky"}) {
    const auto settings =
        settings_of_text(fmt::format("a\nSteps: 20, Sampler: Euler, Seed: {}, Model: m", seed));
    EXPECT_EQ(settings.infotext.find("Seed"), nullptr) << seed;
    EXPECT_THAT(settings.notes, Contains(HasSubstr(seed)));
  }
  EXPECT_EQ(
      *settings_of_text("a\nSteps: 20, Sampler: Euler, Seed: 9200000000000000000").infotext.find("Seed"),
      "9200000000000000000");
}

}  // namespace
}  // namespace lowrank::prompt
