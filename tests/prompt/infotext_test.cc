#include "prompt/infotext.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "prompt/fixtures.h"

namespace lowrank::prompt {
namespace {

using nlohmann::json;
using Entries = std::map<std::string, std::string>;

// The reference keeps some defaults as numbers and booleans; here every value is text.
std::string as_text(const json& value) {
  if (value.is_string()) return value;
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  return value.dump();
}

Entries expected_entries(const json& object) {
  Entries out;
  for (const auto& [key, value] : object.items()) out[key] = as_text(value);
  return out;
}

Entries all_of(const Infotext& infotext) {
  Entries out(infotext.entries.begin(), infotext.entries.end());
  out["Prompt"] = infotext.prompt;
  out["Negative prompt"] = infotext.negative_prompt;
  return out;
}

TEST(Infotext, ReadsAsReference) {
  const auto cases = read_fixture("infotext.json")["cases"];
  ASSERT_GT(cases.size(), 50u);
  for (const auto& c : cases) {
    EXPECT_EQ(all_of(parse_infotext(c["text"].get<std::string>())), expected_entries(c["explicit"]))
        << c["text"];
  }
}

TEST(Infotext, AddsDefaultsAsReference) {
  const auto cases = read_fixture("infotext.json")["cases"];
  for (const auto& c : cases) {
    Infotext infotext = parse_infotext(c["text"].get<std::string>());
    add_infotext_defaults(infotext);
    EXPECT_EQ(all_of(infotext), expected_entries(c["result"])) << c["text"];
  }
}

TEST(Infotext, QuotesAsReference) {
  const auto cases = read_fixture("infotext.json")["quote"];
  for (const auto& c : cases) {
    Infotext infotext;
    const json& value = c["value"];
    if (value.is_boolean()) {
      infotext.set("key", value.get<bool>());
    } else if (value.is_number_integer()) {
      infotext.set("key", value.get<int>());
    } else if (value.is_number()) {
      infotext.set("key", value.get<double>());
    } else {
      infotext.set("key", value.get<std::string>());
    }
    EXPECT_EQ(quote_value(*infotext.find("key")), c["quoted"]) << c;
  }
}

TEST(Infotext, NumbersAsPythonPrintsThem) {
  const std::map<double, std::string> expected = {{7.0, "7.0"},
                                                  {7.5, "7.5"},
                                                  {0.1, "0.1"},
                                                  {-0.05, "-0.05"},
                                                  {1e16, "1e+16"},
                                                  {1e-5, "1e-05"},
                                                  {1e15, "1000000000000000.0"},
                                                  {0.0001, "0.0001"},
                                                  {0.0, "0.0"}};
  for (const auto& [value, text] : expected) EXPECT_EQ(number_text(value), text);
}

TEST(Infotext, WritesTheExampleOfTheSpecification) {
  Infotext infotext{"3dmm style, 1girl, <lora:3dmm_V11:0.8>", "(worst quality:1.4), lowres", {}};
  infotext.set("Steps", 20);
  infotext.set("Sampler", "Euler a");
  infotext.set("CFG scale", 7.0);
  infotext.set("Size", "512x768");
  infotext.set("Tiling", true);
  infotext.set("Lora hashes", "3dmm_V11: 6f5d0a2bd7e1");
  infotext.set("Steps", 30);  // keeps its place
  const std::string expected =
      "3dmm style, 1girl, <lora:3dmm_V11:0.8>\n"
      "Negative prompt: (worst quality:1.4), lowres\n"
      "Steps: 30, Sampler: Euler a, CFG scale: 7.0, Size: 512x768, Tiling: True, "
      "Lora hashes: \"3dmm_V11: 6f5d0a2bd7e1\"";
  EXPECT_EQ(write_infotext(infotext), expected);
}

TEST(Infotext, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(write_infotext({"a", "", {{"Steps", "1"}}}), "a\nSteps: 1");
  EXPECT_EQ(write_infotext({"", "", {{"Steps", "1"}, {"same", "same"}}}), "Steps: 1, same");
}

// What is written can be read back, for texts without the traps that A1111's form has: lines that begin with
// the label, blanks at the ends of lines, values that look quoted or are empty.
TEST(Infotext, WrittenTextReadsBackEqual) {
  std::mt19937 random(1);
  const auto below = [&](std::size_t count) { return static_cast<std::size_t>(random()) % count; };
  const std::vector<std::string> parts = {"a",          "b ü", ",", ":",  "\"", "\\", "猫", "(x:1.2)",
                                          "<lora:y:1>", "\n",  "#", "é,", "0",  "=",  "{",  "😀"};
  const auto text = [&](std::size_t most) {
    std::string out;
    for (std::size_t i = below(most + 1); i > 0; --i) out += parts[below(parts.size())];
    while (!out.empty() && out.front() == '\n') out.erase(0, 1);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
  };
  for (int round = 0; round < 2000; ++round) {
    Infotext infotext{text(12), text(6), {}};
    infotext.set("Steps", 20);
    infotext.set("Sampler", "Euler a");
    infotext.set("Seed", 5);
    for (std::size_t i = 0; i < below(4); ++i) {
      const std::string value = "v" + text(5);
      infotext.set("Key " + std::to_string(i), value);
    }
    EXPECT_EQ(all_of(parse_infotext(write_infotext(infotext))), all_of(infotext)) << write_infotext(infotext);
  }
}

TEST(Infotext, VersionsDecideWhatOldProgramsDid) {
  const auto downcast = [](const std::string& version) {
    Infotext infotext{"a", "", {{"Version", version}}};
    add_infotext_defaults(infotext);
    return infotext.find("Downcast alphas_cumprod") != nullptr;
  };
  for (const char* older :
       {"v1.5.2", "1.6", "v1.7.0", "v1.7.0-224-gabc", "v1.7.0-RC", "v1.7.0rc1", "v1.7.0-RC-5-gabc"}) {
    EXPECT_TRUE(downcast(older)) << older;
  }
  for (const char* newer :
       {"v1.7.0-225-gabc", "v1.8.0", "v1.10.1", "1.8.0-RC", "x", "", "v", "v1.", "v1.5.2foo", "v1.5.2-"}) {
    EXPECT_FALSE(downcast(newer)) << newer;
  }
}

TEST(Infotext, OldHiresSizesSurviveNonsense) {
  for (const char* size : {"0x0", "99999999999x1", "1x1"}) {
    Infotext infotext =
        parse_infotext(std::string("a\nSize: ") + size + ", First pass size: 0x0, Steps: 1, Seed: 1");
    EXPECT_NO_THROW(add_infotext_defaults(infotext)) << size;
  }
}

TEST(Infotext, LoraNamesBecomeLocal) {
  Infotext infotext{
      "<lora:Foo:0.8> and <lora:bar:1> <lora:none>", "", {{"Lora hashes", "Foo: aaa, bar: bbb"}}};
  localise_lora_names(infotext, [](std::string_view name) {
    return name == "Foo" ? std::optional<std::string>("foo_v2") : std::nullopt;
  });
  EXPECT_EQ(infotext.prompt, "<lora:foo_v2:0.8> and <lora:bar:1> <lora:none>");
}

TEST(Infotext, AddNetEntriesBecomeTags) {
  Infotext infotext{"a",
                    "",
                    {{"AddNet Module 1", "LoRA"},
                     {"AddNet Model 1", "style(0123abcd)"},
                     {"AddNet Weight A 1", "0.7"},
                     {"AddNet Module 2", "other"},
                     {"AddNet Model 2", "x(1)"}}};
  localise_lora_names(infotext, [](std::string_view) { return std::nullopt; });
  EXPECT_EQ(infotext.prompt, "a\n<lora:style:0.7>");
}

// A1111 reads these as words of the negative prompt. What they say is plain.
TEST(Infotext, SettingsAreFoundWhereTheirLineIsBroken) {
  const std::string words = "a fox\nNegative prompt: bad\n";
  const std::string settings = "Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 123, Size: 512x768";
  const std::string texts[] = {
      words + settings,
      words + settings + ", Template: red\nand blue, Version: v1.9",
      words + settings + ", Template: red\nand blue",
      words + settings + "\nTemplate: a {red|blue} fox\nNegative Template: bad",
      words + settings + "\nUsed embeddings: none [0000]",
      words + settings + "\nTime taken: 5.2 sec",
      words + "Steps: 20 | Sampler: Euler a | CFG scale: 7.5 | Seed: 123 | Size: 512x768",
      words + "Steps: 20; Sampler: Euler a; CFG scale: 7.5; Seed: 123; Size: 512x768",
      words + "Steps: 20\nSampler: Euler a\nCFG scale: 7.5\nSeed: 123\nSize: 512x768",
      words + "Sampler: Euler a\nSteps: 20\nCFG scale: 7.5\nSeed: 123\nSize: 512x768",
      words + "Seed: 123\nSize: 512x768\nSampler: Euler a\nCFG scale: 7.5, Steps: 20",
      words + "Steps: 20, Sampler: Euler a, CFG Scale: 7.5, seed: 123, Size: 512x768",
      "a fox Negative prompt: bad " + settings,
      "a fox, Negative prompt: bad, " + settings,
      "a fox\r\nNegative prompt: bad\r\n" + settings + "\r\n",
  };
  for (const std::string& text : texts) {
    const Infotext infotext = find_infotext(text);
    const auto value = [&](const char* key) {
      const std::string* found = infotext.find(key);
      return found == nullptr ? std::string("nothing") : *found;
    };
    EXPECT_EQ(infotext.prompt.substr(0, 5), "a fox") << text;
    EXPECT_LE(infotext.prompt.size(), 6u) << text;
    EXPECT_EQ(infotext.negative_prompt.substr(0, 3), "bad") << text;
    EXPECT_LE(infotext.negative_prompt.size(), 4u) << text;
    EXPECT_EQ(value("Steps"), "20") << text;
    EXPECT_EQ(value("Sampler"), "Euler a") << text;
    EXPECT_EQ(value("CFG scale"), "7.5") << text;
    EXPECT_EQ(value("Seed"), "123") << text;
    EXPECT_EQ(value("Size-1") + " " + value("Size-2"), "512 768") << text;
    EXPECT_EQ(settings_among_words(infotext), "") << text;
  }
  EXPECT_EQ(*find_infotext(texts[1]).find("Template"), "red\nand blue");
  EXPECT_EQ(*find_infotext(texts[1]).find("Version"), "v1.9");
}

TEST(Infotext, WordsStayWords) {
  const Infotext infotext = find_infotext("a fox\nSteps: 20, Sampler: Euler");
  EXPECT_TRUE(infotext.entries.empty()) << "two entries are no settings, in A1111 too";
  EXPECT_EQ(settings_among_words(infotext), "Steps: 20, Sampler: Euler");
  EXPECT_EQ(settings_among_words(find_infotext("a fox on the steps: 20 of them")), "");
  EXPECT_EQ(find_infotext("he said: a | b; c\nyes: no").prompt, "he said: a | b; c\nyes: no");
}

TEST(Infotext, AListOrObjectIsOneValue) {
  const Infotext infotext = find_infotext(
      "a fox\nSteps: 20, Seed: 3, Size: 64x64, Civitai resources: [{\"type\":\"lora\",\"weight\":0.8,"
      "\"modelVersionId\":42,\"modelName\":\"a, b: c\"}], Hashes: {\"model\": \"0011223344\"}, Version: v1");
  EXPECT_EQ(*infotext.find("Hashes"), "{\"model\": \"0011223344\"}");
  EXPECT_EQ(*infotext.find("Version"), "v1");
  EXPECT_EQ(infotext.entries.size(), 7u);
  EXPECT_EQ(*find_infotext("a\nSteps: 1, Seed: 2, Note: [red|blue], Mood: x").find("Note"), "[red|blue]");
}

TEST(Infotext, HostileLinesTakeLinearTime) {
  for (const char* unit :
       {"a", "aa ", "aa:", "aa:\"", "aa:\"\\\"", ",", ":", "aa: b, ", "-", "\n", "\"", "aa: \"x\",",
        "Steps: 1 ", "Steps: 1\n", "Seed: 1\n", "[", "aa: [", "Steps: 1, Seed: 2, Size: 3\n"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    if (std::string(unit) == "aa: b, " || std::string(unit) == "aa: \"x\",") {
      EXPECT_EQ(parse_infotext(text).entries.size(), 1u);
    } else {
      parse_infotext(text);
    }
    find_infotext(text);
  }
  std::string keys;
  for (int i = 0; i < 30'000; ++i) keys += "AddNet Model " + std::to_string(i) + ": x, ";
  Infotext infotext = parse_infotext(keys);
  EXPECT_EQ(infotext.entries.size(), 30'000u);
  add_infotext_defaults(infotext);
  localise_lora_names(infotext, [](std::string_view) { return std::nullopt; });
}

}  // namespace
}  // namespace lowrank::prompt
