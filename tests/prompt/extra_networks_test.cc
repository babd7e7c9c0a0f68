#include "prompt/grammar/extra_networks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <fmt/format.h>

#include "prompt/fixtures.h"

namespace lowrank::prompt {
namespace {

using nlohmann::json;

// The reference groups tags by kind, in order of each kind's first appearance.
std::vector<const NetworkTag*> grouped(const std::vector<NetworkTag>& tags) {
  std::vector<std::string> kinds;
  for (const auto& tag : tags) {
    if (std::find(kinds.begin(), kinds.end(), tag.kind) == kinds.end()) kinds.push_back(tag.kind);
  }
  std::vector<const NetworkTag*> out;
  for (const auto& kind : kinds) {
    for (const auto& tag : tags) {
      if (tag.kind == kind) out.push_back(&tag);
    }
  }
  return out;
}

void expect_tag(const NetworkTag& tag, const json& expected) {
  EXPECT_EQ(tag.kind, expected["kind"]);
  EXPECT_EQ(json(tag.items), expected["items"]);
  if (!expected.contains("positional")) return;
  EXPECT_EQ(json(tag.positional), expected["positional"]);
  json named = json::object();
  for (const auto& [name, value] : tag.named) named[name] = value;
  EXPECT_EQ(named, expected["named"]);
}

// nan and inf are refused on purpose, where the reference goes on with them.
bool is_refused(const json& network) {
  return network.contains("lora_error") || (network.contains("lora") && network["lora"]["te"].is_string());
}

TEST(ExtraNetworks, EqualsReference) {
  const auto cases = read_fixture("extra-networks.json")["cases"];
  ASSERT_GT(cases.size(), 60u);
  for (const auto& c : cases) {
    SCOPED_TRACE(c["text"].dump());
    const ExtraNetworks networks = parse_extra_networks(c["text"].get<std::string>());
    EXPECT_EQ(networks.stripped, c["stripped"]);
    const auto tags = grouped(networks.tags);
    ASSERT_EQ(tags.size(), c["networks"].size());
    std::vector<json> loras;
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const auto& expected = c["networks"][i];
      expect_tag(*tags[i], expected);
      if (is_refused(expected)) {
        EXPECT_FALSE(networks.warnings.empty());
      } else if (expected.contains("lora")) {
        loras.push_back(expected["lora"]);
      }
    }
    ASSERT_EQ(networks.loras.size(), loras.size());
    for (std::size_t i = 0; i < loras.size(); ++i) {
      const LoraTag& lora = networks.loras[i];
      EXPECT_EQ(lora.name, loras[i]["name"]);
      EXPECT_DOUBLE_EQ(lora.te, loras[i]["te"]);
      EXPECT_DOUBLE_EQ(lora.unet, loras[i]["unet"]);
      EXPECT_EQ(lora.dyn ? json(*lora.dyn) : json(nullptr), loras[i]["dyn"]);
    }
  }
}

TEST(ExtraNetworks, FirstPromptOfABatchDecides) {
  const auto cases = read_fixture("extra-networks.json")["batches"];
  for (const auto& c : cases) {
    SCOPED_TRACE(c["texts"].dump());
    const std::vector<std::string> prompts = c["texts"];
    const BatchNetworks batch = parse_batch(prompts);
    EXPECT_EQ(json(batch.stripped), c["stripped"]);
    const auto used = grouped(batch.networks.tags);
    ASSERT_EQ(used.size(), c["used"].size());
    for (std::size_t i = 0; i < used.size(); ++i) expect_tag(*used[i], c["used"][i]);
  }
  const std::vector<std::string> differing = {"a <lora:x:1>", "b <lora:y:1>"};
  EXPECT_EQ(parse_batch(differing).warnings.size(), 1u);
  const std::vector<std::string> same = {"a <lora:x:1>", "b <lora:x:1>"};
  EXPECT_TRUE(parse_batch(same).warnings.empty());
}

TEST(ExtraNetworks, BadNumberIgnoresThatTagOnly) {
  const auto networks = parse_extra_networks("<lora:bad:abc><lora:good:0.5>");
  ASSERT_EQ(networks.loras.size(), 1u);
  EXPECT_EQ(networks.loras[0].name, "good");
  ASSERT_EQ(networks.warnings.size(), 1u);
  EXPECT_NE(networks.warnings[0].find("'abc'"), std::string::npos);
}

TEST(ExtraNetworks, HypernetAndUnknownKinds) {
  const auto networks = parse_extra_networks("<hypernet:h:0.3><hypernet:g><foo:bar>");
  ASSERT_EQ(networks.hypernets.size(), 2u);
  EXPECT_EQ(networks.hypernets[0].weight, 0.3);
  EXPECT_EQ(networks.hypernets[1].weight, 1.0);
  // Neither kind acts, so each tag is named.
  ASSERT_EQ(networks.warnings.size(), 3u);
  EXPECT_NE(networks.warnings[0].find("hypernetworks are not supported"), std::string::npos);
  EXPECT_NE(networks.warnings[2].find("'foo'"), std::string::npos);
  EXPECT_EQ(networks.stripped, "");
}

LoraTag only_lora(const std::string& text) {
  const auto networks = parse_extra_networks(text);
  EXPECT_EQ(networks.loras.size(), 1u) << text;
  EXPECT_EQ(networks.stripped, "") << text;
  return networks.loras.empty() ? LoraTag{} : networks.loras[0];
}

TEST(ExtraNetworks, ANameWithAnEqualsSignIsAName) {
  for (const char* name : {"a=b", "step=1000", "x=2", "te=3", "epoch=3-loss=0.1", "=a", "a="}) {
    EXPECT_EQ(only_lora(fmt::format("<lora:{}:0.8>", name)).name, name);
    EXPECT_EQ(only_lora(fmt::format("<lora:{}:0.8>", name)).unet, 0.8) << name;
    EXPECT_EQ(only_lora(fmt::format("<lora:{}:0.8:te=0.3>", name)).te, 0.3) << name;
  }
  EXPECT_EQ(only_lora("<lora:a=b>").name, "a=b");
  // A1111's own arguments before the name stay what they are.
  EXPECT_EQ(only_lora("<lora:te=0.3:x>").name, "x");
}

TEST(ExtraNetworks, EveryNameCanBeWrittenInQuotes) {
  for (const char* name :
       {"a:b", "a>b", "<a>", "a=b", "say \"x\"", "\"x\"", "a\nb", "plain", "#1/a:b", ":", "a:1"}) {
    const LoraTag lora = only_lora(fmt::format("<lora:{}:0.8:0.5>", network_name(name)));
    EXPECT_EQ(lora.name, name);
    EXPECT_EQ(lora.te, 0.8) << name;
    EXPECT_EQ(lora.unet, 0.5) << name;
  }
  EXPECT_EQ(network_name("3dmm style/x#2"), "3dmm style/x#2");
  EXPECT_TRUE(is_plain_network_name("3dmm style/x"));
  EXPECT_FALSE(is_plain_network_name("x#2"));
}

TEST(ExtraNetworks, ANameWithAColonIsToldHowToBeWritten) {
  const auto networks = parse_extra_networks("<lora:style:red:0.8>");
  ASSERT_EQ(networks.warnings.size(), 1u);
  EXPECT_NE(networks.warnings[0].find("<lora:\"style:red\":1>"), std::string::npos) << networks.warnings[0];
}

TEST(ExtraNetworks, TagsInBracesAndUnclosedOnesAreNamed) {
  const auto braces = parse_extra_networks("{<lora:a:1>|<lora:a:0.5>}, b <lora:c:1> {d}");
  EXPECT_EQ(braces.loras.size(), 3u);
  EXPECT_EQ(braces.warnings.size(), 2u);
  const auto unclosed = parse_extra_networks("<lora:a:1, a cat <lora:b:1>");
  ASSERT_EQ(unclosed.warnings.size(), 1u);
  EXPECT_NE(unclosed.warnings[0].find("not closed"), std::string::npos);
  EXPECT_NE(parse_extra_networks("<LoRA:a:1>").warnings.at(0).find("write 'lora'"), std::string::npos);
}

TEST(ExtraNetworks, BlockWeightsNamedAndInOlderPositions) {
  const auto named =
      parse_extra_networks("<lora:x:0.8:lbw=OUTALL:lbwe=ATTNDEEPON:x=0.5:start=0.25:stop=15>").loras.at(0);
  EXPECT_EQ(named.block_weights, "OUTALL");
  EXPECT_EQ(named.block_elements, "ATTNDEEPON");
  EXPECT_EQ(named.block_base, 0.5);
  EXPECT_EQ(named.window.start, 0.25);
  EXPECT_EQ(named.window.stop, 15);
  EXPECT_EQ(named.unet, 0.8);

  const auto preset = parse_extra_networks("<lora:x:0.8:MIDD>").loras.at(0);
  EXPECT_EQ(preset.block_weights, "MIDD");
  EXPECT_EQ(preset.unet, 0.8);
  const auto list = parse_extra_networks("<lora:x:0.8:0.6:1,0,0.5>").loras.at(0);
  EXPECT_EQ(list.block_weights, "1,0,0.5");
  EXPECT_EQ(list.te, 0.8);
  EXPECT_EQ(list.unet, 0.6);
  const auto step = parse_extra_networks("<lora:x:1:step=5-10>").loras.at(0);
  EXPECT_EQ(step.window.start, 5);
  EXPECT_EQ(step.window.stop, 10);
}

TEST(ExtraNetworks, UnknownNamedItemIsReported) {
  const auto networks = parse_extra_networks("<lora:x:0.4:foo=bar>");
  EXPECT_EQ(networks.loras.at(0).te, 0.4);
  EXPECT_EQ(networks.warnings.size(), 1u);
}

TEST(StepWindow, CountsStepsFromOneAndReadsFractions) {
  const StepWindow window{0.25, 15};
  EXPECT_FALSE(window.is_active(4, 20));
  EXPECT_TRUE(window.is_active(5, 20));
  EXPECT_TRUE(window.is_active(14, 20));
  EXPECT_FALSE(window.is_active(15, 20));
  EXPECT_TRUE(StepWindow{}.is_active(1, 1));
}

TEST(ExtraNetworks, HostileTagsTakeLinearTime) {
  for (const char* unit :
       {"<", "<a", "<a:", "<a:>", "<lora:x:1>", "<lora::::", ">", "<lora:\"", "<a:\"\"\"", "{<lora:x:1>"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    EXPECT_LE(parse_extra_networks(text).stripped.size(), text.size());
  }
}

}  // namespace
}  // namespace lowrank::prompt
