#include "prompt/grammar/tag_times.h"

#include <gtest/gtest.h>

#include "prompt/prompt.h"

namespace lowrank::prompt {
namespace {

// Per LoRA one letter a model call: 'x' where its tag is there.
std::vector<std::string> times_of(const std::string& prompt, int calls = 10) {
  ExtraNetworks networks = parse_extra_networks(prompt);
  find_tag_times(prompt, networks, {.base = calls});
  std::vector<std::string> out;
  for (const LoraTag& lora : networks.loras) {
    std::string& row = out.emplace_back();
    for (int call = 0; call < calls; ++call) row += is_there(lora.times, call) ? 'x' : '.';
  }
  return out;
}

// The truth is prompt editing itself: a tag is there exactly when a word in its place would be.
std::vector<std::string> times_of_words(const std::string& prompt, const std::vector<std::string>& words,
                                        int calls = 10) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    std::string& row = out.emplace_back();
    for (const ComposedPiece& piece : split_composition(prompt)) {
      if (piece.text.find(word) == std::string::npos) continue;
      const auto schedule = resolve_schedule(piece.text, {.base = calls});
      for (int call = 0; call < calls; ++call)
        row += schedule[entry_for_call(schedule, call)].text.find(word) != std::string::npos ? 'x' : '.';
    }
  }
  return out;
}

TEST(TagTimes, ATagActsWhenAWordInItsPlaceWouldBeRead) {
  for (const char* form :
       {"[A::0.5]", "[A:0.5]", "[A:B:0.3]", "a [fox A:cat:5] B", "[A|B]", "[A|B|c]", "(A:1.2)", "[A]",
        "[[A::8]::4]", "[a:[A:B:6]:3]", "x [A::0.5] AND y [B:0.5]", "[A:0]", "[A::0]", "[A:B:99]",
        "[a AND A:5]", "\\[A:5\\] [B:5]", "A [a:b:5]", "[A:b", "((A::0.5)"}) {
    std::string tags, words;
    for (const char* c = form; *c != '\0'; ++c) {
      const bool is_mark = *c == 'A' ? c[1] != 'N' : *c == 'B';
      tags += is_mark ? std::string("<lora:") + *c + ":1>" : std::string(1, *c);
      words += is_mark ? std::string("zz") + *c : std::string(1, *c);
    }
    std::vector<std::string> marks = {"zzA"};
    if (words.find("zzB") != std::string::npos) marks.push_back("zzB");
    if (words.find("zzA") > words.find("zzB")) std::swap(marks[0], marks[1]);
    EXPECT_EQ(times_of(tags), times_of_words(words, marks)) << form;
  }
}

TEST(TagTimes, TagsOutsideOfEditingActAlways) {
  ExtraNetworks networks = parse_extra_networks("a [fox:cat:5] <lora:a:1>, [<lora:b:1>]");
  find_tag_times("a [fox:cat:5] <lora:a:1>, [<lora:b:1>]", networks, {.base = 10});
  for (const LoraTag& lora : networks.loras) EXPECT_TRUE(lora.times.empty());
}

// The hires pass has calls of its own, and the first pass's editing is over in it.
TEST(TagTimes, HiresPassGoesOnCounting) {
  const std::string prompt = "[<lora:a:1>::0.5] [<lora:b:1>::1.5]";
  ExtraNetworks networks = parse_extra_networks(prompt);
  find_tag_times(prompt, networks, {.base = 10, .hires = 4});
  EXPECT_FALSE(is_there(networks.loras[0].times, 0));
  EXPECT_TRUE(is_there(networks.loras[1].times, 0));
  EXPECT_FALSE(is_there(networks.loras[1].times, 3));
}

TEST(TagTimes, ParsingTheWholePromptFillsThem) {
  const Tokenizer tokenizer;
  const auto parsed = parse({.prompt = "a [<lora:z:1>::0.5]", .steps = 10}, tokenizer);
  ASSERT_EQ(parsed.networks.loras.size(), 1u);
  EXPECT_TRUE(is_there(parsed.networks.loras[0].times, 5));
  EXPECT_FALSE(is_there(parsed.networks.loras[0].times, 6));
  EXPECT_EQ(parsed.pieces[0].text, "a [::0.5]");
}

}  // namespace
}  // namespace lowrank::prompt
