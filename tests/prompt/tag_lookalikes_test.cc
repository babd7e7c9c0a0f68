#include "prompt/grammar/tag_lookalikes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prompt/grammar/extra_networks.h"

namespace lowrank::prompt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Each of these was meant as a tag, and none is one by A1111's grammar.
TEST(TagLookalikes, WhatWasMeantAsATagIsNamedWithItsFault) {
  struct Row {
    const char* text;
    const char* fault;
  };
  for (const Row& row : {Row{"a fox <lora:x:1", "not closed"},
                         {"a fox, <lora:x:0.8\nblue sky", "not closed"},
                         {"< lora:x:1>", "space"},
                         {"<lora :x:1>", "space"},
                         {"<\u200blora:x:1>", "space"},
                         {"<\u00a0lora:x:1>", "space"},
                         {"&lt;lora:x:1&gt;", "HTML"},
                         {"&#60;lora:x:1&#62;", "HTML"},
                         {"\uff1clora:x:1\uff1e", "uses characters other than"},
                         {"\uff1clora\uff1ax\uff1a1\uff1e", "uses characters other than"},
                         {"<lora\uff1ax\uff1a0.5>", "uses characters other than"},
                         {"\u300alora:x:1\u300b", "uses characters other than"},
                         {"lora:x:1>", "opening '<'"},
                         {"(lora:x:0.8)", "opening '<'"},
                         {"lora:x:0.8, a fox", "opening '<'"},
                         {"<lora:>", "no name"},
                         {"<lora>", "no name"},
                         {"<\uff4c\uff4f\uff52\uff41:x:1>", ""},
                         {"<hypernet:x", "not closed"},
                         {"< lyco:x:1>", "space"}}) {
    const auto networks = parse_extra_networks(row.text);
    ASSERT_EQ(networks.warnings.size(), 1u) << row.text;
    EXPECT_THAT(networks.warnings[0], HasSubstr(row.fault)) << row.text;
    EXPECT_TRUE(networks.loras.empty()) << row.text;
  }
  EXPECT_THAT(lookalike_warnings("< lora:a:1>, &lt;lora:b:1&gt;"),
              ElementsAre(HasSubstr("'< lora:a:1>'"), HasSubstr("'&lt;lora:b:1&gt;'")));
}

TEST(TagLookalikes, AnEmbeddingInComfysWordsIsNamed) {
  EXPECT_THAT(lookalike_warnings("a fox, (embedding:bad-hands.pt:1.2), Embedding:foo"),
              ElementsAre(HasSubstr("'embedding:bad-hands.pt'"), HasSubstr("'Embedding:foo'")));
  EXPECT_THAT(lookalike_warnings("embedding: a technique, embeddings:x, the embedding"), IsEmpty());
}

TEST(TagLookalikes, OrdinaryWordsAreNone) {
  for (const char* text : {"portrait of Lora", "Lora: a woman, red hair", "(lora:1.2)", "explora:x:1",
                           "a < b > c", "lora and <lo-ra:x:1>", "a hypernet", "flora:1.2", ""})
    EXPECT_THAT(lookalike_warnings(text), IsEmpty()) << text;
}

TEST(TagLookalikes, HostileTextsTakeLinearTime) {
  for (const char* unit : {"lora", "lora:", "<lora:", "< lora", "lora ", "lora:x:", "&lt;lora:"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    EXPECT_LE(lookalike_warnings(text).size(), 20u);
  }
}

}  // namespace
}  // namespace lowrank::prompt
