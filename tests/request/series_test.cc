// X/Y/Z axes, prompt matrix and prompt files as the web UI's own scripts read them
// (tools/fixtures/make_series.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/text.h"
#include "request/field_table.h"
#include "request/series/axis.h"
#include "request/series/csv.h"
#include "request/series/prompt_series.h"
#include "request/series/series.h"

namespace lowrank::request {
namespace {

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
    const Axis axis = parse_axis(c.at("label").get<std::string>(), c.at("text").get<std::string>());
    const auto& expected = c.at("values");
    ASSERT_EQ(axis.values.size(), expected.size()) << c;
    for (std::size_t i = 0; i < axis.values.size(); ++i) {
      if (expected[i].is_string()) {
        EXPECT_EQ(axis.values[i], expected[i].get<std::string>()) << c;
      } else {
        EXPECT_NEAR(parse_number(axis.values[i]).value_or(-1), expected[i].get<double>(), 1e-7) << c;
      }
    }
  }
}

TEST(Axis, PromptReplacement) {
  for (const auto& c : cases("replaced")) {
    Axis axis = parse_axis("Prompt S/R", "x");
    axis.values = c.at("values").get<std::vector<std::string>>();
    const auto index = std::ranges::find(axis.values, c.at("value").get<std::string>()) - axis.values.begin();
    GenerationRequest request = prompted(c.at("prompt"), c.at("negative"));
    apply_axis(request, axis, static_cast<std::size_t>(index));
    EXPECT_EQ(request.prompt, c.at("result").get<std::string>());
    EXPECT_EQ(request.negative_prompt, c.at("negative_result").get<std::string>());
  }
  GenerationRequest request = prompted("a dog");
  EXPECT_THROW(apply_axis(request, parse_axis("Prompt S/R", "fox, cat"), 1), Error);
}

TEST(Axis, PromptOrder) {
  const auto all = cases("orders");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& c = all[i];
    Axis axis = parse_axis("Prompt order", "x");
    std::string order;
    for (const auto& part : c.at("order")) order += (order.empty() ? "" : ",") + part.get<std::string>();
    axis.values = {order};
    GenerationRequest request = prompted(c.at("prompt"));
    apply_axis(request, axis, 0);
    EXPECT_EQ(request.prompt, c.at("result").get<std::string>()) << c;
  }
  EXPECT_THAT(parse_axis("Prompt order", "a, b, c").values,
              ElementsAre("a,b,c", "a,c,b", "b,a,c", "b,c,a", "c,a,b", "c,b,a"));
}

TEST(Axis, EveryLabelSetsItsField) {
  for (const auto label : axis_labels()) {
    const Axis axis = parse_axis(label, label == "Size" ? "64x72" : "1");
    if (axis.kind != Axis::Kind::kField) continue;
    GenerationRequest request;
    apply_axis(request, axis, 0);
    EXPECT_NE(field_by_api(axis.api), nullptr) << label;
  }
  GenerationRequest request;
  apply_axis(request, parse_axis("Size", "64x72"), 0);
  EXPECT_EQ(request.width, 64);
  EXPECT_EQ(request.height, 72);
  apply_axis(request, parse_axis("steps", "3, 4"), 1);  // a field by its own name
  EXPECT_EQ(request.steps, 4);
}

TEST(Axis, NonsenseIsOneSentence) {
  for (const auto& [name, values] : {std::pair("Nonsense", "1"),
                                     {"Steps", ""},
                                     {"Steps", "1-100000"},
                                     {"CFG Scale", "1-2 (+0)"},
                                     {"Prompt order", "a,b,c,d,e,f,g,h"}})
    EXPECT_THROW(parse_axis(name, values), Error) << name << values;
  GenerationRequest request;
  EXPECT_THROW(apply_axis(request, parse_axis("Size", "big"), 0), Error);
  EXPECT_THROW(apply_axis(request, parse_axis("Steps", "many"), 0), Error);
}

TEST(Axis, ListsOfChoicesGoThroughTextUnharmed) {
  const std::vector<std::string> items = {"plain", "with, comma", "a \"quoted\" word", "last"};
  EXPECT_EQ(split_csv(joined_csv(items)), items);
}

TEST(Axis, A1111sNumbersAreKept) {
  const auto text = a1111_axes(false), image = a1111_axes(true);
  EXPECT_EQ(text[0], "Nothing");
  EXPECT_EQ(text[5], "Hires steps");
  EXPECT_EQ(image[5], "CFG Scale");
  EXPECT_EQ(image[6], "Image CFG Scale");
  EXPECT_EQ(text.back(), "Size");
  // Those that do not exist here keep their place and are refused.
  EXPECT_THAT(text, ::testing::Contains("Face restore"));
  EXPECT_THROW(parse_axis("Face restore", "1"), Error);
}

TEST(Series, CellsRunAlongRowsThenDownThenSheetBySheet) {
  GenerationRequest base = prompted("a fox");
  base.seed = 5;
  const auto series = xyz_series(base,
                                 {.axes = {parse_axis("Steps", "1, 2"), parse_axis("Prompt S/R", "fox, cat"),
                                           parse_axis("Clip skip", "3, 4")}},
                                 100);
  ASSERT_EQ(series.requests.size(), 8u);
  const auto cell = [&](std::size_t i) {
    const auto& r = series.requests[i];
    return std::tuple(r.steps, r.prompt, r.clip_skip, r.seed);
  };
  EXPECT_EQ(cell(0), std::tuple(1, "a fox", 3, 5));
  EXPECT_EQ(cell(1), std::tuple(2, "a fox", 3, 5));
  EXPECT_EQ(cell(2), std::tuple(1, "a cat", 3, 5));
  EXPECT_EQ(cell(4), std::tuple(1, "a fox", 4, 5));
  EXPECT_THAT(series.order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(series.grid->sheets.size(), 2u);
  EXPECT_EQ(series.grid->columns[1][0].text, "Steps: 2");
  EXPECT_EQ(series.grid->rows[1][0].text, "cat");
}

TEST(Series, CheckpointsChangeSeldom) {
  const auto series = xyz_series(
      prompted("a"), {.axes = {parse_axis("Checkpoint name", "a, b"), parse_axis("Steps", "1, 2, 3")}}, 100);
  EXPECT_THAT(series.order, ElementsAre(0, 2, 4, 1, 3, 5));
  const auto middle = xyz_series(
      prompted("a"),
      {.axes = {parse_axis("Steps", "1, 2"), parse_axis("VAE", "a, b"), parse_axis("Seed", "1, 2")}}, 100);
  EXPECT_THAT(middle.order, ElementsAre(0, 1, 4, 5, 2, 3, 6, 7));
}

TEST(Series, TooManyAreRefusedBeforeTheyAreMade) {
  const auto steps = parse_axis("Steps", "1-1000"), seeds = parse_axis("Seed", "1-1000");
  EXPECT_THROW(xyz_series(prompted("a"), {.axes = {steps, seeds}}, 256), Error);
  EXPECT_THROW(matrix_series(prompted("a|b|c|d"), {}, 7), Error);
  EXPECT_THROW(prompts_series("a\nb\nc", prompted(""), {}, 2), Error);
}

TEST(Series, APartOfAMatrixIsStruckThroughWhereItIsLeftOut) {
  const auto series = matrix_series(prompted("a|b|c|d"), {}, 100);
  const auto& grid = *series.grid;
  ASSERT_EQ(grid.columns.size(), 4u);  // b and c across, d downwards
  ASSERT_EQ(grid.rows.size(), 2u);
  EXPECT_EQ(grid.columns[1][0].text, "b");
  EXPECT_TRUE(grid.columns[1][0].is_active);
  EXPECT_FALSE(grid.columns[1][1].is_active);
  EXPECT_FALSE(grid.rows[0][0].is_active);
  EXPECT_EQ(series.requests[5].prompt, "a, b, d");
}

TEST(Series, TheGridsMetadataNameTheAxes) {
  EXPECT_EQ(
      grid_metadata("a fox\nSteps: 1, Seed: 2, Version: LowRank 1",
                    {{"Script", "X/Y/Z plot"}, {"X Type", "Steps"}, {"X Values", "1, 2"}}),
      "a fox\nSteps: 1, Seed: 2, Script: X/Y/Z plot, X Type: Steps, X Values: \"1, 2\", Version: LowRank 1");
}

TEST(PromptMatrix, CombinesAsTheWebUi) {
  for (const auto& c : cases("matrices"))
    EXPECT_EQ(prompt_matrix(c.at("prompt").get<std::string>(),
                            {.at_start = c.at("at_start"), .joined_by_blank = c.at("joiner") == "space"}),
              c.at("prompts").get<std::vector<std::string>>())
        << c;
  EXPECT_THROW(prompt_matrix(std::string(40, '|'), {}), Error);
}

TEST(PromptsFile, LinesAreReadAsInTheWebUi) {
  for (const auto& c : cases("lines")) {
    const auto requests = prompts_from_lines(c.at("line").get<std::string>(), {});
    ASSERT_EQ(requests.size(), 1u);
    for (const auto& [key, value] : c.at("fields").items()) {
      GenerationRequest expected;
      const auto* row = field_by_api(key);
      ASSERT_NE(row, nullptr) << key;
      set_field(expected, *row, value.is_string() ? value.get<std::string>() : value.dump(), key);
      EXPECT_EQ(field_text(requests[0], *row), field_text(expected, *row)) << c;
    }
  }
}

TEST(PromptsFile, PlainLinesArePromptsOverTheBase) {
  GenerationRequest base;
  base.steps = 7;
  base.negative_prompt = "blurry";
  const auto requests = prompts_from_lines("a fox\n\n  a cat, red  \r\n--prompt x --steps 3\n", base);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[1].prompt, "a cat, red");
  EXPECT_EQ(requests[1].steps, 7);
  EXPECT_EQ(requests[2].steps, 3);
  EXPECT_EQ(requests[2].negative_prompt, "blurry");
}

TEST(PromptsFile, TheBasesPromptStandsBehindOrBefore) {
  const GenerationRequest base = prompted("in snow", "blurry");
  const char* lines = "a fox\n--prompt a cat --negative_prompt dark";
  auto requests = prompts_from_lines(lines, base);
  EXPECT_EQ(requests[0].prompt, "a fox in snow");
  EXPECT_EQ(requests[1].prompt, "a cat in snow");
  EXPECT_EQ(requests[1].negative_prompt, "dark blurry");
  requests = prompts_from_lines(lines, base, {.at_end = true});
  EXPECT_EQ(requests[1].prompt, "in snow a cat");
  EXPECT_EQ(requests[1].negative_prompt, "blurry dark");
}

TEST(PromptsFile, ABadLineIsNamed) {
  for (const char* lines :
       {"a\n--nonsense 3", "a\nx --steps 3", "a\n--steps", "a\n--prompt \"open", "a\n--steps many"}) {
    try {
      prompts_from_lines(lines, {});
      ADD_FAILURE() << lines;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("line 2")) << lines;
    }
  }
  EXPECT_THROW(prompts_from_lines(" \n\n", {}), Error);
}

}  // namespace
}  // namespace lowrank::request
