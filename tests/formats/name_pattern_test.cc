// Patterns for layer names against the answers of Python's re.match("(.*\.)?(PATTERN)$", NAME).
#include "formats/lora/name_pattern.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

struct Case {
  const char* pattern;
  const char* name;
  bool matches;
};

TEST(NamePattern, AnswersAsPythonDoes) {
  for (const Case& c : std::initializer_list<Case>{
           {"to_q", "down.attn1.to_q", true},
           {"to_q", "to_q", true},
           {"to_q", "down.attn1.into_q", false},
           {"to_q", "down.to_q.x", false},
           {"attn1.to_q", "down.attn1.to_q", true},
           {"attn1.to_q", "down.attn1_to_q", true},
           {"attn1\\.to_q", "down.attn1_to_q", false},
           {".*attn\\d.*", "down.attn2.to_k", true},
           {"^down.*", "down.attn2.to_k", true},
           {"^attn2.*", "down.attn2.to_k", false},
           {"conv[12]", "resnets.0.conv2", true},
           {"conv[^12]", "resnets.0.conv2", false},
           {"conv[]1]", "a.conv]", true},
           {"conv[a-f0-3]", "a.conv2", true},
           {"conv[1-]", "a.conv-", true},
           {"(to_q|to_k|to_v)", "attn.to_v", true},
           {"to_q|to_k", "attn.to_k", true},
           {"(?:to_)?q", "attn.q", true},
           {"x(a|b|c)+d", "xabcabd", true},
           {"x(a|b|c)+d", "xd", false},
           {"a{2}", "aa", true},
           {"a{2}", "aaa", false},
           {"a{2,}b", "aaaab", true},
           {"a{,2}b", "aab", true},
           {"a{,2}b", "aaab", false},
           {"a{1,3}?b", "aaab", true},
           {"(ab){2,3}", "ababab", true},
           {"(ab){2,3}", "ab", false},
           {"a{x}", "a{x}", true},
           {"a*?b", "aaab", true},
           {"(a*)*b", "aaab", true},
           {"(a|ab)(c|bcd)", "abcd", true},
           {"\\w+\\.\\d+", "conv_in.12", true},
           {"\\D\\W\\S", "a.b", true},
           {"(|a)b", "b", true},
           {"a$", "b.a", true},
           {"a.c", "abc", true},
           {"block.(\\d+).attn", "block.17.attn", true},
       }) {
    PatternAllowance allowance;
    EXPECT_EQ(NamePattern(c.pattern, allowance).matches(c.name, allowance), c.matches)
        << c.pattern << " on " << c.name;
  }
}

TEST(NamePattern, WhatIsNotUnderstoodIsRefusedInWords) {
  for (const auto& [pattern, words] : std::map<std::string, std::string>{
           {"a(", "lacks a ')'"},
           {"a)", "an unmatched ')'"},
           {"[a", "lacks a ']'"},
           {"a\\", "ends in a backslash"},
           {"(a)\\1", "an unsupported escape"},
           {"(?=a)", "only '(?:' is supported"},
           {"*a", "repeats nothing"},
           {"a{3,2}", "repeat range in the wrong order"},
           {"[z-a]", "a range in the wrong order"},
           {"a{2000}", "1,000 times"},
           {std::string(600, 'a'), "longer than 512"},
           {std::string(200, '('), "nested too deeply"},
       }) {
    PatternAllowance allowance;
    const std::string error = error_of([&] { NamePattern(pattern, allowance); });
    EXPECT_NE(error.find(words), std::string::npos) << pattern << ": " << error;
  }
}

// What backtracking takes 2^n steps for, and what expands without end, are cut off by count.
TEST(NamePattern, WorkIsCountedNotEndless) {
  PatternAllowance allowance;
  const NamePattern nested("(a*a*a*a*)*x", allowance);
  EXPECT_FALSE(nested.matches(std::string(4000, 'a'), allowance));
  EXPECT_GT(allowance.steps, 0);
  EXPECT_NE(
      error_of([&] { NamePattern("((((a{1000}){1000}){1000}){1000}){1000}", allowance); }).find("too large"),
      std::string::npos);
  PatternAllowance little{.places = 100, .steps = 1000};
  const NamePattern plain("(a|b)*c", little);
  EXPECT_NE(error_of([&] { plain.matches(std::string(4000, 'a'), little); }).find("too expensive to match"),
            std::string::npos);
}

// One pattern per layer of SDXL, each asked of every layer: what trainers write must not meet the limit.
TEST(NamePattern, ManyPlainPatternsCostLittle) {
  PatternAllowance allowance;
  std::vector<std::string> names;
  std::vector<NamePattern> patterns;
  for (int i = 0; i < 800; ++i)
    names.push_back(
        fmt::format("down_blocks.{}.attentions.1.transformer_blocks.{}.attn1.to_q", i / 100, i % 100));
  for (const auto& name : names) patterns.emplace_back(name, allowance);
  std::size_t found = 0;
  for (const auto& name : names)
    for (const auto& pattern : patterns) found += pattern.matches(name, allowance) ? 1 : 0;
  EXPECT_EQ(found, names.size());
  EXPECT_GT(allowance.steps, PatternAllowance().steps / 2);
}

TEST(NamePattern, AlternativesAsManyAsFitTakeNoTime) {
  std::string many = "a";
  while (many.size() < 510) many += "|a";
  PatternAllowance allowance;
  const NamePattern pattern(many, allowance);
  EXPECT_TRUE(pattern.matches("x.a", allowance));
}

}  // namespace
}  // namespace lowrank::formats
