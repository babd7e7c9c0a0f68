#include "prompt/grammar/composition.h"

#include <gtest/gtest.h>

#include "prompt/fixtures.h"

namespace lowrank::prompt {
namespace {

TEST(Composition, EqualsReference) {
  const auto cases = read_fixture("prompt-multicond.json")["cases"];
  ASSERT_GT(cases.size(), 30u);
  for (const auto& c : cases) {
    const std::vector<std::string> prompts = c["prompts"];
    const ComposedPrompts composed = compose(prompts);
    EXPECT_EQ(composed.texts, c["prompt_flat_list"].get<std::vector<std::string>>()) << c["prompts"];
    ASSERT_EQ(composed.uses.size(), c["res_indexes"].size());
    for (std::size_t i = 0; i < composed.uses.size(); ++i) {
      const auto& expected = c["res_indexes"][i];
      ASSERT_EQ(composed.uses[i].size(), expected.size()) << c["prompts"];
      for (std::size_t j = 0; j < expected.size(); ++j) {
        EXPECT_EQ(composed.uses[i][j].text, expected[j][0].get<std::size_t>()) << c["prompts"];
        EXPECT_DOUBLE_EQ(composed.uses[i][j].weight, expected[j][1].get<double>()) << c["prompts"];
      }
    }
  }
}

TEST(Composition, AndSplitsBracketsInTheMiddle) {
  const auto pieces = split_composition("a (b AND c:1.2)");
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].text, "a (b");
  EXPECT_EQ(pieces[1].text, " c:1.2)");
  EXPECT_EQ(pieces[1].weight, 1.0);
}

TEST(Composition, ManyPiecesAndColonsStayLinear) {
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += "AND : ";
  EXPECT_EQ(split_composition(text).size(), 30'001u);
}

}  // namespace
}  // namespace lowrank::prompt
