// X/Y/Z axes, prompt matrix and prompt files as the web UI's own scripts read them
// (tools/fixtures/make_series.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "pipeline/field_table.h"
#include "pipeline/series/axis.h"
#include "pipeline/series/prompt_series.h"
#include "prompt/text.h"

namespace lowrank {
namespace {

using pipeline::Axis;
using pipeline::GenerationRequest;
using ::testing::ElementsAre;

nlohmann::json cases(const char* name) {
  std::ifstream file(std::string(LOWRANK_TEST_FIXTURES) + "/series.json");
  return nlohmann::json::parse(file).at(name);
}

GenerationRequest prompted(const std::string& prompt, const std::string& negative = "") {
  GenerationRequest request;
  request.prompt = prompt;
  request.negative_prompt = negative;
  return request;
}

TEST(Axis, ValuesAreReadAsInTheWebUi) {
  for (const auto& c : cases("axes")) {
    const Axis axis = pipeline::parse_axis(c.at("label").get<std::string>(), c.at("text").get<std::string>());
    const auto& expected = c.at("values");
    ASSERT_EQ(axis.values.size(), expected.size()) << c;
    for (std::size_t i = 0; i < axis.values.size(); ++i) {
      if (expected[i].is_string()) {
        EXPECT_EQ(axis.values[i], expected[i].get<std::string>()) << c;
      } else {
        EXPECT_NEAR(prompt::parse_number(axis.values[i]).value_or(-1), expected[i].get<double>(), 1e-7) << c;
      }
    }
  }
}

TEST(Axis, PromptReplacement) {
  for (const auto& c : cases("replaced")) {
    Axis axis = pipeline::parse_axis("Prompt S/R", "x");
    axis.values = c.at("values").get<std::vector<std::string>>();
    const auto index = std::ranges::find(axis.values, c.at("value").get<std::string>()) - axis.values.begin();
    GenerationRequest request = prompted(c.at("prompt"), c.at("negative"));
    pipeline::apply_axis(request, axis, static_cast<std::size_t>(index));
    EXPECT_EQ(request.prompt, c.at("result").get<std::string>());
    EXPECT_EQ(request.negative_prompt, c.at("negative_result").get<std::string>());
  }
  GenerationRequest request = prompted("a dog");
  EXPECT_THROW(pipeline::apply_axis(request, pipeline::parse_axis("Prompt S/R", "fox, cat"), 1), Error);
}

TEST(Axis, PromptOrder) {
  const auto all = cases("orders");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& c = all[i];
    Axis axis = pipeline::parse_axis("Prompt order", "x");
    std::string order;
    for (const auto& part : c.at("order")) order += (order.empty() ? "" : ",") + part.get<std::string>();
    axis.values = {order};
    GenerationRequest request = prompted(c.at("prompt"));
    pipeline::apply_axis(request, axis, 0);
    EXPECT_EQ(request.prompt, c.at("result").get<std::string>()) << c;
  }
  EXPECT_THAT(pipeline::parse_axis("Prompt order", "a, b, c").values,
              ElementsAre("a,b,c", "a,c,b", "b,a,c", "b,c,a", "c,a,b", "c,b,a"));
}

TEST(Axis, EveryLabelSetsItsField) {
  for (const auto label : pipeline::axis_labels()) {
    const Axis axis = pipeline::parse_axis(label, label == "Size" ? "64x72" : "1");
    if (axis.kind != Axis::Kind::kField) continue;
    GenerationRequest request;
    pipeline::apply_axis(request, axis, 0);
    EXPECT_NE(pipeline::field_by_api(axis.api), nullptr) << label;
  }
  GenerationRequest request;
  pipeline::apply_axis(request, pipeline::parse_axis("Size", "64x72"), 0);
  EXPECT_EQ(request.width, 64);
  EXPECT_EQ(request.height, 72);
  pipeline::apply_axis(request, pipeline::parse_axis("steps", "3, 4"), 1);  // a field by its own name
  EXPECT_EQ(request.steps, 4);
}

TEST(Axis, NonsenseIsOneSentence) {
  for (const auto& [name, values] : {std::pair("Nonsense", "1"),
                                     {"Steps", ""},
                                     {"Steps", "1-100000"},
                                     {"CFG Scale", "1-2 (+0)"},
                                     {"Prompt order", "a,b,c,d,e,f,g,h"}})
    EXPECT_THROW(pipeline::parse_axis(name, values), Error) << name << values;
  GenerationRequest request;
  EXPECT_THROW(pipeline::apply_axis(request, pipeline::parse_axis("Size", "big"), 0), Error);
  EXPECT_THROW(pipeline::apply_axis(request, pipeline::parse_axis("Steps", "many"), 0), Error);
}

TEST(PromptMatrix, CombinesAsTheWebUi) {
  for (const auto& c : cases("matrices"))
    EXPECT_EQ(
        pipeline::prompt_matrix(c.at("prompt").get<std::string>(),
                                {.at_start = c.at("at_start"), .joined_by_blank = c.at("joiner") == "space"}),
        c.at("prompts").get<std::vector<std::string>>())
        << c;
  EXPECT_THROW(pipeline::prompt_matrix(std::string(40, '|'), {}), Error);
}

TEST(PromptsFile, LinesAreReadAsInTheWebUi) {
  for (const auto& c : cases("lines")) {
    const auto requests = pipeline::prompts_from_lines(c.at("line").get<std::string>(), {});
    ASSERT_EQ(requests.size(), 1u);
    for (const auto& [key, value] : c.at("fields").items()) {
      GenerationRequest expected;
      const auto* row = pipeline::field_by_api(key);
      ASSERT_NE(row, nullptr) << key;
      pipeline::set_field(expected, *row, value.is_string() ? value.get<std::string>() : value.dump(), key);
      EXPECT_EQ(pipeline::field_text(requests[0], *row), pipeline::field_text(expected, *row)) << c;
    }
  }
}

TEST(PromptsFile, PlainLinesArePromptsOverTheBase) {
  GenerationRequest base;
  base.steps = 7;
  base.negative_prompt = "blurry";
  const auto requests =
      pipeline::prompts_from_lines("a fox\n\n  a cat, red  \r\n--prompt x --steps 3\n", base);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[1].prompt, "a cat, red");
  EXPECT_EQ(requests[1].steps, 7);
  EXPECT_EQ(requests[2].steps, 3);
  EXPECT_EQ(requests[2].negative_prompt, "blurry");
}

TEST(PromptsFile, ABadLineIsNamed) {
  for (const char* lines :
       {"a\n--nonsense 3", "a\nx --steps 3", "a\n--steps", "a\n--prompt \"open", "a\n--steps many"}) {
    try {
      pipeline::prompts_from_lines(lines, {});
      ADD_FAILURE() << lines;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("line 2")) << lines;
    }
  }
  EXPECT_THROW(pipeline::prompts_from_lines(" \n\n", {}), Error);
}

}  // namespace
}  // namespace lowrank
