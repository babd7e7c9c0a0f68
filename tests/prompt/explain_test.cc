#include "prompt/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lowrank::prompt {
namespace {

using testing::HasSubstr;

Request request() {
  return {.prompt = "a [cat:dog:5] (big emb:1.25) <lora:x:0.8:0.6> AND b:0.5",
          .negative_prompt = "bad",
          .steps = 10,
          .settings = {.embeddings = {{"emb", 3}}}};
}

TEST(Explain, TextNamesEveryStage) {
  const std::string text = explain({request()});
  for (const char* part :
       {"LoRA 'x', text encoder 0.8, U-Net 0.6", "piece 1 of 2", "weight 0.5", "calls 0–5", "calls 6–9",
        "cat·⟨2368⟩", "×1.25", "{emb: 3 vectors}", "Negative: \"bad\"", "chunk 1 of 1"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Explain, TellsWhenATextIsNeverReached) {
  EXPECT_THAT(explain({{.prompt = "[a:b:9]", .steps = 10}}), HasSubstr("not reached"));
}

TEST(Explain, BytesThatAreNoCharacterAreShownAsNumbers) {
  EXPECT_THAT(explain({{.prompt = "²"}}), HasSubstr("²"));
  EXPECT_THAT(explain({{.prompt = "𝔘"}}), HasSubstr("\\x"));
}

TEST(Explain, JsonHoldsTheSame) {
  const auto json = nlohmann::json::parse(explain({request(), ExplainFormat::kJson}));
  EXPECT_EQ(json["composition"][1]["weight"], 0.5);
  EXPECT_EQ(json["networks"]["loras"][0]["unet"], 0.6);
  EXPECT_EQ(json["pieces"][0]["schedule"][1]["calls"], nlohmann::json({6, 9}));
  EXPECT_EQ(json["pieces"][0]["texts"][0]["chunks"][0]["ids"].size(), 77u);
  EXPECT_EQ(json["pieces"][0]["texts"][0]["chunks"][0]["embeddings"][0]["vectors"], 3);
  EXPECT_EQ(json["negative"]["texts"][0]["text"], "bad");
}

}  // namespace
}  // namespace lowrank::prompt
